//! The search box: redirects to what an id or a user name belongs to, and lists the accounts with
//! an e-mail address.

use super::riders::{candidates, searched};
use crate::console::{
    components::empty,
    failure::PageResult,
    layout::{Nav, with_nav},
    session::PageContext,
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

pub(crate) async fn go(
    State(app): State<App>,
    context: PageContext,
    Params(Query { q }): Params<Query>,
) -> PageResult {
    let (pool, text) = (&app.saga.pool, q.trim());
    if let Ok(Id(id)) = text.parse() {
        if let Some(place) = find::by_id(pool, id).await? {
            return Ok(Redirect::to(&format!("/console/{}/{}", place.list, place.id)).into_response());
        }
    } else {
        let found = find::riders(pool, text).await?;
        context.reads(&app, &searched(text, &found)).await?;
        if let Some(rider) = find::unmistakable(&found) {
            return Ok(Redirect::to(&format!("/console/riders/{rider}")).into_response());
        }
        if !found.is_empty() {
            return Ok(with_nav(&context, Nav::Elsewhere, text, candidates(&context, &found)));
        }
    }
    let nothing = empty(
        &context,
        "Nothing has this id, user name or e-mail address.",
        "没有与此编号、用户名或邮箱对应的内容。",
    );
    Ok(with_nav(&context, Nav::Elsewhere, text, nothing))
}
