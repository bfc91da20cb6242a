//! The manifests of config/kubernetes: against the schemas of Kubernetes, and what they say of Farebox.

use crate::harness::{Database, Process, restricted, settings, tools, until};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest release whose schemas the manifests are checked against, and the newest that is packed.
const RELEASES: [&str; 2] = ["1.30", "1.37"];

/// What a ScaledObject, a trigger and a TriggerAuthentication have, by KEDA's reference of them
/// ("ScaledObject specification", "PostgreSQL" among the scalers).
const SCALED_OBJECT: [&str; 7] = [
    "scaleTargetRef",
    "pollingInterval",
    "cooldownPeriod",
    "minReplicaCount",
    "maxReplicaCount",
    "fallback",
    "triggers",
];
const TRIGGER: [&str; 4] = ["type", "metricType", "metadata", "authenticationRef"];
const POSTGRESQL: [&str; 2] = ["query", "targetQueryValue"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes")
}

fn python() -> PathBuf {
    tools::fetched("python/bin/python3")
}

/// The documents of a file.
fn documents(file: &str) -> Vec<Value> {
    let read = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let done = Command::new(python()).args(["-c", read]).arg(folder().join(file)).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// The documents of a kind, of all files.
fn of_kind(kind: &str) -> Vec<Value> {
    let all = ["api.yml", "worker.yml", "migrate.yml", "scaling.yml"].into_iter().flat_map(documents);
    all.filter(|document| document["kind"] == kind).collect()
}

/// The one of this kind and name.
fn named(kind: &str, name: &str) -> Value {
    let found = of_kind(kind).into_iter().find(|one| one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn validated(release: &str, files: &[PathBuf]) -> (bool, String) {
    let mut validate = Command::new(python());
    let strictly = ["-m", "kubernetes_validate", "--strict", "--kubernetes-version", release];
    let done = validate.args(strictly).args(files).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_manifests_fit_the_schemas_of_kubernetes() {
    let files = ["api.yml", "worker.yml", "migrate.yml"].map(|file| folder().join(file));
    for release in RELEASES {
        let (fit, said) = validated(release, &files);
        assert!(fit, "{said}");
        assert_eq!(said.lines().filter(|line| line.contains(" passed ")).count(), 8, "{said}");
    }
    // It is able to find something.
    let wrong = crate::harness::folder("wrong.yml");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    std::fs::write(&wrong, text.replace("periodSeconds", "periodSecs")).unwrap();
    assert!(!validated(RELEASES[0], &[wrong]).0);
}

#[test]
fn the_scaling_is_as_keda_describes_it() {
    let scaled = named("ScaledObject", "farebox-worker");
    assert_eq!(scaled["apiVersion"], "keda.sh/v1alpha1");
    let spec = &scaled["spec"];
    assert!(keys(spec).is_subset(&SCALED_OBJECT.into()), "{spec}");
    named("Deployment", spec["scaleTargetRef"]["name"].as_str().unwrap());
    assert_eq!(spec["minReplicaCount"], 1, "timers and checks need a worker");
    assert!(spec["maxReplicaCount"].as_u64() > spec["minReplicaCount"].as_u64());
    assert_eq!(keys(&spec["fallback"]), ["failureThreshold", "replicas"].into());
    let [trigger] = spec["triggers"].as_array().unwrap().as_slice() else { panic!("{spec}") };
    assert!(keys(trigger).is_subset(&TRIGGER.into()), "{trigger}");
    assert_eq!((&trigger["type"], &trigger["metricType"]), (&"postgresql".into(), &"AverageValue".into()));
    assert_eq!(keys(&trigger["metadata"]), POSTGRESQL.into());
    // Values of a trigger are texts.
    assert!(trigger["metadata"]["targetQueryValue"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
    let how = named("TriggerAuthentication", trigger["authenticationRef"]["name"].as_str().unwrap());
    let [target] = how["spec"]["secretTargetRef"].as_array().unwrap().as_slice() else { panic!("{how}") };
    assert_eq!(keys(target), ["key", "name", "parameter"].into());
    assert_eq!(target["parameter"], "connection");
    let deployment = named("Deployment", "farebox-worker");
    assert!(deployment["spec"].get("replicas").is_none(), "an apply would undo what KEDA has set");
}

#[test]
fn no_container_has_rights_or_secrets_that_it_does_not_need() {
    let pods: Vec<Value> = [of_kind("Deployment"), of_kind("Job")].concat();
    assert_eq!(pods.len(), 3);
    for pod in pods {
        let spec = &pod["spec"]["template"]["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let container = &spec["containers"][0];
        let rights = &container["securityContext"];
        assert_eq!(rights["allowPrivilegeEscalation"], false);
        assert_eq!(rights["readOnlyRootFilesystem"], true);
        assert_eq!(rights["capabilities"]["drop"][0], "ALL");
        // Secrets are files: what is in the environment is in every child and every dump.
        for variable in container["env"].as_array().unwrap() {
            let secret = ["DATABASE_URL", "SECRETS__"]
                .iter()
                .any(|part| variable["name"].as_str().unwrap().contains(part));
            let is_file = variable["name"].as_str().unwrap().ends_with("_FILE");
            assert!(!secret || is_file, "{variable}");
            assert!(variable.get("valueFrom").is_none(), "{variable}");
        }
        let component = &pod["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"];
        let is_api = component == "api";
        let text = container["env"].to_string();
        assert_eq!(text.contains("TOKEN_KEY"), is_api, "only an API signs");
        assert_eq!(text.contains("PEPPER"), is_api, "only an API hashes");
    }
    for name in ["farebox-api", "farebox-worker"] {
        let policy = named("NetworkPolicy", name);
        assert_eq!(policy["spec"]["policyTypes"].as_array().unwrap().len(), 2);
        named("PodDisruptionBudget", name);
        let spec = &named("Deployment", name)["spec"]["template"]["spec"];
        let live = &spec["containers"][0]["livenessProbe"]["httpGet"]["path"];
        assert_eq!(live, "/health/live", "an outage of the database is no reason to start again");
        assert_eq!(spec["containers"][0]["readinessProbe"]["httpGet"]["path"], "/health/ready");
    }
}

/// As the role that KEDA connects as, on a queue with a backlog that a worker has measured.
#[tokio::test(flavor = "multi_thread")]
async fn the_trigger_reads_how_many_jobs_wait() {
    let db = Database::fresh().await;
    let pool = farebox::storage::pool(&db.url, &settings().database, "test").unwrap();
    let url = restricted("farebox-api", &db.url).replace("farebox_api@", "farebox_reader@");
    let reader = farebox::storage::pool(&url, &settings().database, "keda").unwrap();
    let scaled = named("ScaledObject", "farebox-worker");
    let query = scaled["spec"]["triggers"][0]["metadata"]["query"].as_str().unwrap().to_owned();
    let depth = async || -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(query.as_str())).fetch_one(&reader).await.unwrap()
    };
    assert_eq!(depth().await, 0, "before a worker has measured anything");
    sqlx::query(
        "insert into queue.job (id, tag, key, payload, max_attempts, priority)
         select gen_random_uuid(), 'order_unpaid', n::text, '{}', 5, 1 from generate_series(1, 700) n",
    )
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("insert into queue.paused (tag, paused_by, reason) values ('order_unpaid', 'test', 'test')")
        .execute(&pool)
        .await
        .unwrap();
    let worker = Process::worker(&db.url, &[], &[]);
    until("the worker has measured", async || depth().await == 700).await;
    drop(worker);
    sqlx::query("update queue.depth set at = at - interval '3 minutes'").execute(&pool).await.unwrap();
    assert_eq!(depth().await, 0, "an old measure counts for nothing");
}
