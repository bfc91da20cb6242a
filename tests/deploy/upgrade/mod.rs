//! Upgrades beside riders: processes of two releases on one database, which the newer one migrates while
//! the older one serves. Nobody notices, and the way back is open until a contract migration.
//!
//! ```console
//! $ .ci/upgrade
//! ```
//!
//! The other releases are built once and stay in `target/tmp/releases`.

mod fleet;
mod releases;
mod traffic;

use fleet::Fleet;
use releases::Release;

/// Orders that were refunded between two steps of an upgrade.
const BETWEEN: usize = 25;

/// The release before this one starts on its own schema alone, so it is taken out of the proxy before it
/// is stopped, and does not come back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds the release before"]
async fn the_release_before_is_replaced_under_load() {
    let (before, this) = (Release::before(), Release::this());
    let mut fleet = Fleet::start(&before).await;
    fleet.has_sold(BETWEEN).await;
    let plan = fleet.farebox(&this, &["migrate", "--plan"]);
    assert!(plan.contains("0037 session second factor: expand"), "{plan}");
    fleet.farebox(&this, &["migrate"]);
    fleet.farebox(&this, &["roles", "--apply"]);
    fleet.has_sold(BETWEEN).await;
    for place in 0..2 {
        fleet.take_out(place);
        fleet.replace_api(place, &this).await;
        fleet.has_sold(BETWEEN).await;
        fleet.replace_worker(place, &this);
        fleet.has_sold(BETWEEN).await;
    }
    fleet.ends_well(&this).await;
}

/// From this release on: a process goes down and comes up at any time, and needs no word to the proxy.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds a release of after"]
async fn the_next_release_comes_and_goes_until_its_contract_migration() {
    let (this, next) = (Release::this(), Release::next());
    let mut fleet = Fleet::start(&this).await;
    fleet.has_sold(BETWEEN).await;
    let plan = fleet.farebox(&next, &["migrate", "--plan"]);
    for line in [
        "9001 upgrade: expand",
        "9002 upgrade: expand",
        "9003 upgrade: contract, ends builds that do not know 9002",
    ] {
        assert!(plan.contains(line), "{line:?} is not in:\n{plan}");
    }
    fleet.half_build_the_index().await;
    let said = fleet.farebox(&next, &["migrate", "--expand"]);
    assert!(said.contains("at migration 9002, this build knows 9003"), "{said}");
    assert!(fleet.has_the_index().await);
    fleet.farebox(&next, &["roles", "--apply"]);
    // There, back, and there again.
    for release in [&next, &this, &next] {
        for place in 0..2 {
            fleet.replace_api(place, release).await;
            fleet.replace_worker(place, release);
            fleet.has_sold(BETWEEN).await;
        }
        if std::ptr::eq(release, &this) {
            let said = fleet.farebox(&this, &["migrate"]);
            assert!(said.contains("at migration 9002"), "{said}");
            let said = fleet.farebox(&this, &["roles", "--apply"]);
            assert!(said.contains("its grants stay as they are"), "{said}");
        }
    }
    fleet.farebox(&next, &["migrate"]);
    fleet.has_sold(BETWEEN).await;
    for program in ["farebox-api", "farebox-worker"] {
        let refused = fleet.refused(&this, program);
        assert!(refused.contains("runs builds that know 9002 or a later one"), "{refused}");
    }
    fleet.ends_well(&next).await;
}
