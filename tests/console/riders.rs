//! Finding the rider who is meant, and topping up no other.

use super::session::ConsoleSession;
use crate::harness::World;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_address_opens_no_page_and_lists_all_riders_who_gave_it() {
    let world = World::new().await;
    let (first, owner, other) = (world.rider("0").await, world.rider("0").await, world.rider("0").await);
    for (rider, email) in
        [(&first, "Lin@example.org"), (&owner, "lin@EXAMPLE.org"), (&other, "caf\u{e9}@example.org")]
    {
        rider.patch("/v1/riders/me", &json!({ "email": email })).await.expect(200);
    }
    let ops = ConsoleSession::enter(&world, "ops").await;
    let pages = ["/console/search?q=", "/console/riders?who="];
    for page in pages {
        let found = ops.page(&format!("{page}lin%40example.org")).await;
        for rider in [&first, &owner] {
            assert!(found.contains(&format!("/console/riders/{}", rider.id)), "{found}");
            assert!(found.contains(&format!("<code>{}</code>", rider.id)), "the whole id");
        }
        assert!(!found.contains(&other.id.to_string()) && found.contains("not verified"), "{found}");
        assert_eq!(found.matches("(unverified)").count(), 2, "{found}");
        assert!(found.contains("rider0") && found.contains("rider1") && found.contains("Since"), "{found}");
        assert!(found.find("rider0") < found.find("rider1"), "older accounts first");
        // One account alone may be the wrong one as well; and é is é, however it is put together.
        let one = ops.page(&format!("{page}CAFE%CC%81%40example.org").to_lowercase()).await;
        assert!(one.contains(&other.id.to_string()) && one.contains("not verified"), "{one}");
        let nobody = ops.page(&format!("{page}nobody%40example.org")).await;
        assert!(!nobody.contains("not verified"), "{nobody}");
    }
    // A user name is one account's, whatever its case.
    for page in pages {
        let answer = ops.send("GET", &format!("{page}RIDER0"), None).await;
        assert_eq!(answer.status().as_u16(), 303);
        assert_eq!(answer.headers()["location"].to_str().unwrap(), format!("/console/riders/{}", first.id));
    }
    // Unless a rider has it as an e-mail address; addresses were not always checked.
    let mimic = "update rider set email = 'Rider0' where id = $1";
    sqlx::query(mimic).bind(other.id.0).execute(&world.pool).await.unwrap();
    for page in pages {
        let found = ops.page(&format!("{page}rider0")).await;
        assert!(found.contains(&first.id.to_string()) && found.contains(&other.id.to_string()), "{found}");
        let (named, wrote) = (found.find(&first.id.to_string()), found.find(&other.id.to_string()));
        assert!(named < wrote, "the user name's account comes first");
    }
    // The form names its rider.
    let form = ops.page(&format!("/console/riders/{}/top-up", owner.id)).await;
    for text in ["rider1", &owner.id.to_string(), "Since", "E-mail, not verified"] {
        assert!(form.contains(text), "{text} in {form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_takes_a_reference_once() {
    let world = World::new().await;
    let (rider, other) = (world.rider("0").await, world.rider("0").await);
    let ops = ConsoleSession::enter(&world, "ops").await;
    let address = |id: &str| format!("/console/riders/{id}/top-up");
    let (to, elsewhere) = (address(&rider.id.to_string()), address(&other.id.to_string()));
    let csrf = ops.hidden(&to, "csrf").await;
    let form = |reference: &str| format!("csrf={csrf}&reason=desk&amount=5.00&reference={reference}");
    for same in ["PAY-77", "pay-77+", "+Pay-77"] {
        assert_eq!(ops.status("POST", &to, Some(&form(same))).await, 303);
    }
    assert_eq!(ops.status("POST", &elsewhere, Some(&form("pay-77"))).await, 409);
    for none in ["+", "", "PAY%E2%80%8B-78", "a%09b"] {
        assert_eq!(ops.status("POST", &to, Some(&form(none))).await, 422, "{none:?}");
    }
    assert_eq!((rider.balance().await, other.balance().await), ("5.00".to_owned(), "0.00".to_owned()));
}
