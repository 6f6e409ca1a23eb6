//! Seals: what the ledger was at a position, kept elsewhere.

use serde_json::{Value, json};

use crate::support::App;

const SEALS: &str = "/api/platform/audit/seals";
const VERIFY: &str = "/api/platform/audit/verify";

#[tokio::test]
async fn a_ledger_is_sealed_and_held_to_its_seals() {
    let app = App::start().await;
    let (platform, tenant) = (app.platform(), app.tenant("acme").await);
    let seal = async |status: u16| platform.send("POST", SEALS, &[], None).await.expect(status);
    let first = seal(201).await;
    let names: Vec<&String> = first.as_object().unwrap().keys().collect();
    let expected = "events hash head number position seal sealed_at signature";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!(first["signature"], Value::Null);
    let number = first["number"].as_u64().unwrap();
    let (position, hash) = (&first["position"], first["hash"].as_str().unwrap());
    assert_eq!(first["seal"], format!("{number}.{position}.{hash}"));
    assert_eq!(seal(200).await, first, "nothing was appended since");
    tenant.publish("ticket.created", json!({})).await;
    let second = seal(201).await;
    assert_eq!(second["number"], number + 1);
    let listed = platform.walk(SEALS, 1).await;
    assert_eq!(listed[..2], [second.clone(), first.clone()]);
    assert_eq!(listed, platform.walk(SEALS, 200).await);

    for kept in [&first, &second] {
        let path = format!("{VERIFY}?seal={}", kept["seal"].as_str().unwrap());
        assert_eq!(platform.get(&path).await.expect(200)["intact"], true);
    }
    let forged = format!("{number}.{position}.{}", second["hash"].as_str().unwrap());
    let path = format!("{VERIFY}?seal={forged}");
    let verdict = platform.get(&path).await.expect(200);
    assert_eq!(
        (&verdict["intact"], &verdict["first_bad_position"]),
        (&json!(false), &json!(1))
    );
    for bad in ["", "1", "1.2", "1.2.3", &format!("{forged}0")] {
        let answer = platform.get(&format!("{VERIFY}?seal={bad}")).await;
        answer.problem(400, "invalid_parameter");
    }
    let both = format!("{VERIFY}?seal={forged}&tenant=acme");
    platform.get(&both).await.problem(400, "invalid_parameter");
}
