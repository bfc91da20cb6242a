//! The server's disk is full, and has space again.

use super::{broken, riders_with_trips};
use crate::harness::{Client, OwnServer, Process, folder, mount, until};
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::PathBuf,
};

/// Room for an empty cluster, its log and some megabytes.
const SIZE: &str = "size=320m";
/// Requests made until the disk is felt, and then as many again.
const REQUESTS: usize = 400;
const PIECE: usize = 64 * 1024;

/// A disk of its own, in memory.
struct Disk(PathBuf);

impl Disk {
    /// Nothing if this run may not mount one, because it is not root's.
    fn mount() -> Option<Self> {
        let path = folder("full-disk");
        fs::create_dir_all(&path).unwrap();
        match mount::tmpfs(&path, SIZE) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
            mounted => {
                mounted.unwrap();
                Some(Self(path))
            }
        }
    }

    /// Leaves no byte of it free.
    fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let (mut file, piece) = (File::create(&ballast).unwrap(), vec![1; PIECE]);
        while file.write_all(&piece).is_ok() {}
        while file.write_all(&piece[..1]).is_ok() {}
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = mount::detach(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Books, and pays; the status of the first answer that is none of a working system, if there is one.
async fn book_and_pay(
    rider: &Client,
    trip: &str,
    seat: usize,
    kept: &mut Vec<(String, &'static str)>,
) -> Option<u16> {
    let booked = rider.book(trip, &[&seat.to_string()]).await;
    if booked.status != 201 {
        return Some(booked.status.as_u16());
    }
    let order = booked.body["id"].as_str().unwrap().to_owned();
    let paid = rider.pay(&order).await;
    kept.push((order, if paid.status == 200 { "paid" } else { "unpaid" }));
    (paid.status != 200).then(|| paid.status.as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_outage_that_ends_by_itself() {
    let Some(disk) = Disk::mount() else {
        println!("not tried: this run is not root's");
        return;
    };
    let own = OwnServer::start_in(disk.0.join("server"), &[]).await;
    let _worker = Process::worker(&own.url, &[], &[]);
    let riders = riders_with_trips(&own, REQUESTS / 10).await;
    let mut kept = Vec::new();
    assert_eq!(book_and_pay(&riders[0].0, &riders[0].1, 1, &mut kept).await, None);

    let ballast = disk.fill();
    let mut refused = 0;
    for n in 1..REQUESTS * 2 {
        let (rider, trip) = &riders[n % riders.len()];
        match book_and_pay(rider, trip, 1 + n / riders.len(), &mut kept).await {
            None => {}
            Some(503) => refused += 1,
            Some(status) => panic!("{status} while the disk is full"),
        }
        if n > REQUESTS && refused > 0 {
            break;
        }
    }
    assert!(refused > 0, "the disk was never felt");

    fs::remove_file(ballast).unwrap();
    let (rider, trip) = &riders[1];
    until("bookings are taken again", async || rider.book(trip, &["20"]).await.status == 201).await;
    let pool = own.pool();
    until("nothing is pending", async || {
        let sql = "select count(*) from queue.job where tag <> 'order_unpaid'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.is_ok_and(|left| left == 0)
    })
    .await;
    assert_eq!(broken(&pool).await, [""; 0]);
    for (order, least) in &kept {
        let status: String = sqlx::query_scalar("select status from orders where id = $1::uuid")
            .bind(order)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(status == *least || status == "paid", "{order} was {least}, and is {status}");
    }
}
