//! The search box: jumps to what an id or a user name belongs to, and lists who gave an e-mail address.

use super::riders::candidates;
use crate::console::{
    layout::{Answer, Nav, empty, page},
    session::Visit,
};
use crate::{
    domain::Id,
    http::{App, extract::Params},
    ops::find,
};
use axum::{
    extract::State,
    response::{IntoResponse, Redirect},
};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Query {
    #[serde(default)]
    q: String,
}

pub(crate) async fn go(State(app): State<App>, visit: Visit, Params(Query { q }): Params<Query>) -> Answer {
    let (pool, text) = (&app.saga.pool, q.trim());
    if let Ok(Id(id)) = text.parse() {
        if let Some(place) = find::by_id(pool, id).await? {
            return Ok(Redirect::to(&format!("/console/{}/{}", place.list, place.id)).into_response());
        }
    } else {
        let found = find::riders(pool, text).await?;
        if let Some(rider) = find::unmistakable(&found) {
            return Ok(Redirect::to(&format!("/console/riders/{rider}")).into_response());
        }
        if !found.is_empty() {
            return Ok(page(&visit, Nav::Elsewhere, text, candidates(&visit, &found)));
        }
    }
    let nothing = empty(
        &visit,
        "Nothing has this id, user name or e-mail address.",
        "没有与此编号、用户名或邮箱对应的内容。",
    );
    Ok(page(&visit, Nav::Elsewhere, text, nothing))
}
