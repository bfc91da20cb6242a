//! The operations on the network.

use super::builder::{
    Access::{Operator, Viewer},
    Operation, Schemas, operation,
};
use crate::{
    domain::Page,
    http::handlers::ops::{network as http_network, trip_changes as http_changes},
    ops::networks::one_trip::{TripChangePreview, TripChanged},
    ops::networks::view::{Imported, PreviewView, SoldNetwork},
    trips::network::{Progress, TripChange},
};
use serde_json::json;

/// The network: what is sold, and the import of another one.
pub(super) fn operations(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation("get", "/v1/ops/network", Viewer, "The network that is sold, in numbers or as files")
            .query(
                "format",
                "`json` for numbers, `zip` for the files; by `Accept` if left out",
                json!({ "type": "string", "enum": ["json", "zip"] }),
            )
            .gives(200, "Numbers, or a zip of the network's files", s.gives::<SoldNetwork>())
            .or_text(http_network::ZIP)
            .refuses("003070"),
        operation("post", "/v1/ops/network/previews", Operator, "Preview an import of a network's files")
            .takes_file("A zip of at most 8 MiB, whatever the content type")
            .gives(
                201,
                "What the import would do. The zip is kept for a day, and those of the 20 newest previews",
                s.gives::<PreviewView>(),
            )
            .refuses("006070 006072"),
        operation("get", "/v1/ops/network/imports", Viewer, "The imports that were applied, newest first")
            .paged()
            .gives(200, "A page", s.gives::<Page<Progress>>()),
        operation("post", "/v1/ops/network/imports", Operator, "Apply a preview")
            .takes(
                s.takes::<http_network::NewImport>(),
                json!({
                    "preview_id": "0193fa1c-2e7b-7c3d-9a41-b6f0c8d2e511",
                    "digest": "7d0c6b1f2a9e4c58b3d1e0f6a7c49285",
                    "reason": "the timetable of the summer",
                }),
            )
            .gives(200, "What it did", s.gives::<Imported>())
            .gives(
                202,
                "What it did. A job moves and refunds the riders; `import` says how far it is",
                s.gives::<Imported>(),
            )
            .refuses("003070 003092 006070 006071 006072")
            .keyed(),
        operation("get", "/v1/ops/network/imports/{id}", Viewer, "How far an import is")
            .gives(200, "The import, with what its job has done", s.gives::<Progress>())
            .refuses("003070"),
    ]
}

/// Changes of one trip.
pub(super) fn trip_changes(s: &mut Schemas) -> Vec<Operation> {
    vec![
        operation(
            "post",
            "/v1/ops/trips/{id}/change-previews",
            Operator,
            "Preview another bus or other prices of a trip",
        )
        .takes(s.takes::<TripChange>(), json!({ "bus_id": 7, "prices": { "business": "9.00" } }))
        .gives(200, "What the change would do", s.gives::<TripChangePreview>())
        .refuses("006003 006004 006022 006072"),
        operation("post", "/v1/ops/trips/{id}/changes", Operator, "Apply a preview of a trip's change")
            .takes(
                s.takes::<http_changes::PreviewedChange>(),
                json!({
                    "bus_id": 7,
                    "prices": { "business": "9.00" },
                    "digest": "7d0c6b1f2a9e4c58b3d1e0f6a7c49285",
                    "reason": "bus 3 has a flat tyre",
                }),
            )
            .gives(200, "What changed", s.gives::<TripChanged>())
            .gives(
                202,
                "What changed. A job moves and refunds the riders; `import` says how far it is",
                s.gives::<TripChanged>(),
            )
            .refuses("003092 006003 006004 006022 006071 006072")
            .keyed(),
    ]
}
