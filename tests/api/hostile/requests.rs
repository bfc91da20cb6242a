//! Requests with one hostile part each: a field, a parameter, a part of the path, or a header.

use super::{
    NOBODY,
    addresses::{NAMES, Operation},
    range::{Range, Shot},
    values::{encoded, header, raw, text, text_for},
};
use crate::harness::PASSWORD;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::fmt::Write;

const FORM: &str = "application/x-www-form-urlencoded";

impl Range {
    pub fn shot(&self, rng: &mut StdRng) -> Shot {
        if rng.random_range(0..3) == 0 { self.at_the_console(rng) } else { self.at_the_api(rng) }
    }

    fn at_the_api(&self, rng: &mut StdRng) -> Shot {
        // Most often one that takes something.
        let takes = |operation: &Operation| !operation.parameters.is_empty() || !operation.fields.is_empty();
        let (one, other) = (self.operations.choose(rng).unwrap(), self.operations.choose(rng).unwrap());
        let operation = if takes(one) { one } else { other };
        let mut target = self.address(rng, &operation.path);
        let is_ops = operation.path.starts_with("/v1/ops/");
        let who = match rng.random_range(0..12) {
            0 => String::new(),
            1 => self.rider.clone(),
            2 => self.world.ops.authorization(),
            _ if is_ops => self.world.ops.authorization(),
            _ => self.rider.clone(),
        };
        // A sign-out here would leave all that follows without a session.
        let ends = ["/v1/sessions/current", "/v1/sessions"].contains(&operation.path.as_str());
        let who = if ends { String::new() } else { who };
        let mut headers = if who.is_empty() { String::new() } else { format!("authorization: {who}\r\n") };
        let mut fields: Vec<(String, String)> = operation
            .example
            .iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        let mut body = None;
        match rng.random_range(0..10) {
            0..5 if operation.example.is_some() => {
                let name = match operation.fields.choose(rng) {
                    Some(name) if rng.random_range(0..8) > 0 => name.clone(),
                    _ => text(rng),
                };
                if rng.random_range(0..8) > 0 {
                    fields.retain(|(known, _)| *known != name);
                }
                let value = raw(rng, &name);
                fields.push((name, value));
            }
            5 if operation.example.is_some() => body = Some(raw(rng, "")),
            0..7 if !operation.parameters.is_empty() || rng.random_range(0..8) == 0 => {
                let name = match operation.parameters.choose(rng) {
                    Some(name) if rng.random_range(0..6) > 0 => name.clone(),
                    _ => text(rng),
                };
                let value = text_for(rng, &name);
                write!(target, "?{}={}", encoded(rng, &name), encoded(rng, &value)).unwrap();
            }
            0..8 if operation.path.contains('{') => {
                let value = text(rng);
                let hostile = encoded(rng, &value);
                let part = operation.path.split('/').skip(1).position(|part| part.starts_with('{')).unwrap();
                let parts: Vec<&str> = target.split('/').skip(1).collect();
                target = parts
                    .iter()
                    .enumerate()
                    .map(|(at, part_now)| format!("/{}", if at == part { &hostile } else { *part_now }))
                    .collect();
            }
            _ => headers.push_str(&header(rng)),
        }
        let body = body.unwrap_or_else(|| {
            let pairs: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}: {value}", serde_json::to_string(name).unwrap()))
                .collect();
            if operation.example.is_some() { format!("{{{}}}", pairs.join(", ")) } else { String::new() }
        });
        Shot { method: operation.method.clone(), target, headers, body, kind: "application/json" }
    }

    fn at_the_console(&self, rng: &mut StdRng) -> Shot {
        let takes = |page: &(String, String)| {
            page.0 == "POST" || self.taken.get(&page.1).is_some_and(|taken| !taken.is_empty())
        };
        let (one, other) = (self.pages.choose(rng).unwrap(), self.pages.choose(rng).unwrap());
        let (method, path) = if takes(one) { one } else { other };
        let mut target = self.address(rng, path);
        let is_open = rng.random_range(0..8) == 0 || path.ends_with("/sign-out");
        let mut headers = if is_open {
            String::new()
        } else {
            format!("cookie: farebox_console={}\r\n", self.world.ops.token())
        };
        let taken = self.taken.get(path).map_or(NAMES, Vec::as_slice);
        let name = match taken.choose(rng) {
            Some(name) if rng.random_range(0..8) > 0 => (*name).to_owned(),
            _ => text(rng),
        };
        let value = text_for(rng, &name);
        if rng.random_range(0..10) == 0 {
            headers.push_str(&header(rng));
        }
        if method == "GET" {
            write!(target, "?{}={}", encoded(rng, &name), encoded(rng, &value)).unwrap();
            return Shot { method: method.clone(), target, headers, body: String::new(), kind: "" };
        }
        let last = target.rsplit('/').next().unwrap();
        let mut form: Vec<(&str, String)> = match last {
            "sign-in" => vec![("user_name", "ops".to_owned()), ("password", PASSWORD.to_owned())],
            "look" => vec![("lang", "en".to_owned())],
            _ => vec![("csrf", self.csrf.clone()), ("reason", "hostile".to_owned())],
        };
        match last {
            "top-up" => form.extend([
                ("amount", "1.00".to_owned()),
                ("reference", format!("hostile-{}", rng.random::<u32>())),
            ]),
            "snooze" => form.push(("minutes", "5".to_owned())),
            "block" => form.push(("seats", "9".to_owned())),
            "bulk" => {
                form.extend([
                    ("act", "retry".to_owned()),
                    ("id", NOBODY.to_owned()),
                    ("key", "x".to_owned()),
                ]);
            }
            _ => {}
        }
        // Mostly a field of the form, of which there are few, and else one of any other.
        let own: Option<&str> = form.choose(rng).map(|(name, _)| *name).filter(|name| *name != "csrf");
        let name = own.filter(|_| rng.random_range(0..8) > 0).map_or(name, str::to_owned);
        let value = text_for(rng, &name);
        form.retain(|(known, _)| *known != name);
        let mut body: String = form
            .iter()
            .map(|(name, value)| format!("{name}={}&", encoded(&mut StdRng::seed_from_u64(9), value)))
            .collect();
        write!(body, "{}={}", encoded(rng, &name), encoded(rng, &value)).unwrap();
        Shot { method: method.clone(), target, headers, body, kind: FORM }
    }
}
