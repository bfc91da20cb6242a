//! The reason of an operator, and the tag of a path.

use crate::{domain::Refusal, http::problem::Problem};
use farebox_jobs::MqTag;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An operator's reason for a change.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptionalReason {
    #[schemars(with = "Option<crate::domain::Reason>")]
    pub(crate) reason: Option<String>,
}

/// Parses a tag; text that is no tag names nothing.
pub(crate) fn known_tag(tag: &str) -> Result<MqTag, Problem> {
    tag.parse().map_err(|_| Refusal::NotFound("tag").into())
}
