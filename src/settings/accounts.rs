//! Accounts and their sessions.

use serde::{Deserialize, Deserializer, de::Error};
use std::time::Duration;

/// Most seconds of a time in this section: as long as a session lasts.
const MAX_SECS: u32 = 43_200;
/// Most sessions that one account may be allowed.
const MAX_SESSIONS: u32 = 1_000;

/// Accounts.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Accounts {
    /// Whether a new sign-in ends the rider's other sessions.
    pub one_session: bool,
    /// Most sessions of one account.
    #[serde(deserialize_with = "sessions")]
    pub max_sessions: u32,
    /// How long an operator's session may be idle, seconds; 0 for no bound.
    #[serde(deserialize_with = "secs")]
    pub operator_idle_secs: u32,
    /// How long a given password counts for acts that ask for it again, seconds.
    #[serde(deserialize_with = "secs_above_zero")]
    pub confirm_secs: u32,
    /// How long the one-time code of a password reset lasts, seconds.
    #[serde(deserialize_with = "secs_above_zero")]
    pub reset_code_secs: u32,
    /// Whether operators sign in with a second factor.
    pub operators_second_factor: SecondFactorRule,
}

/// Whether operators sign in with a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactorRule {
    /// It is not asked for, also of those who have one.
    Off,
    /// It is asked of those who have one.
    Optional,
    /// Who has none sets it up at sign-in.
    Required,
}

/// What a session of the operations side needs to go on.
#[derive(Clone, Copy, Debug)]
pub struct OperatorSessions {
    /// How long it may be idle.
    pub idle: Duration,
    /// Whether its account must have given a code of the second factor in it.
    pub second_factor: bool,
}

impl Accounts {
    /// Most sessions of one account, the new one included.
    pub fn most_sessions(&self) -> u32 {
        if self.one_session { 1 } else { self.max_sessions }
    }

    /// What a session of the operations side needs to go on; nothing if there is no such rule.
    pub fn operator_sessions(&self) -> Option<OperatorSessions> {
        let second_factor = self.operators_second_factor == SecondFactorRule::Required;
        let secs = match self.operator_idle_secs {
            // No session lasts longer, so none ends by this bound.
            0 if second_factor => MAX_SECS,
            secs => secs,
        };
        let idle = Duration::from_secs(secs.into());
        (secs > 0).then_some(OperatorSessions { idle, second_factor })
    }
}

fn sessions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 1, MAX_SESSIONS)
}

fn secs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 0, MAX_SECS)
}

fn secs_above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 1, MAX_SECS)
}

fn within<'de, D: Deserializer<'de>>(deserializer: D, least: u32, most: u32) -> Result<u32, D::Error> {
    let value = u32::deserialize(deserializer)?;
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format!("{least} to {most}")))
    }
}
