//! Fares of a feed: `fare_attributes.txt` and `fare_rules.txt`.

use super::super::{
    currency::{Amount, Currency},
    fault::{Fault, Faults},
    source::Source,
};
use super::tables::each;
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

/// A route, and the zones of a first and a last stop. In a rule, an empty one is any.
pub(super) type Ride = (String, String, String);

/// The fields of a ride: a route, and two zones.
const FIELDS: usize = 3;

/// The fare of each of these rides that has one: of the rules that name most fields of the ride,
/// the lowest. Only the rules of these rides are held in memory.
pub(super) fn of_rides(
    source: &mut Source,
    rides: &HashSet<Ride>,
    currency: Currency,
    faults: &mut Faults,
) -> HashMap<Ride, Amount> {
    let prices = prices(source, currency, faults);
    let mut fares: HashMap<Ride, Amount> = HashMap::new();
    let mut general: HashSet<String> = prices.keys().cloned().collect();
    let wanted: HashSet<Ride> = rides.iter().flat_map(rules_of).map(|(_, rule)| rule).collect();
    let mut is_reported = false;
    each(source, "fare_rules.txt", &["fare_id"], faults, |line, faults| {
        general.remove(line.get("fare_id"));
        let [route, origin, destination] =
            ["route_id", "origin_id", "destination_id"].map(|column| line.get(column).to_owned());
        let rule = (route, origin, destination);
        if !wanted.contains(&rule) {
            return;
        }
        if !line.get("contains_id").is_empty() {
            if !std::mem::replace(&mut is_reported, true) {
                let rule = "no zone on the way, by which no fare is found; such rules are left out";
                faults.push(line.fault("contains_id", rule));
            }
            return;
        }
        match prices.get(line.get("fare_id")) {
            Some(Some(amount)) => lower(&mut fares, rule, *amount),
            Some(None) => {}
            None => faults.push(line.fault("fare_id", "a fare of fare_attributes.txt")),
        }
    });
    // A fare without a rule is for every ride.
    for amount in general.iter().filter_map(|id| prices.get(id).copied().flatten()) {
        lower(&mut fares, Ride::default(), amount);
    }
    let fare = |ride: &Ride| {
        let found = rules_of(ride).filter_map(|(named, rule)| Some((Reverse(named), *fares.get(&rule)?)));
        Some((ride.clone(), found.min()?.1))
    };
    rides.iter().filter_map(fare).collect()
}

/// Enters a rule's fare, if it has none that is lower.
fn lower(fares: &mut HashMap<Ride, Amount>, rule: Ride, amount: Amount) {
    let known = fares.entry(rule).or_insert(amount);
    *known = amount.min(*known);
}

/// All rules that a ride fits, with the number of fields that each names.
fn rules_of((route, origin, destination): &Ride) -> impl Iterator<Item = (u32, Ride)> {
    (0..1_u32 << FIELDS).map(move |named| {
        let field =
            |at: u32, text: &str| if named & (1 << at) == 0 { String::new() } else { text.to_owned() };
        (named.count_ones(), (field(0, route), field(1, origin), field(2, destination)))
    })
}

/// The price of each fare; `None` where it cannot be read.
fn prices(source: &mut Source, currency: Currency, faults: &mut Faults) -> HashMap<String, Option<Amount>> {
    let mut prices = HashMap::new();
    let required = ["fare_id", "price", "currency_type"];
    let has = each(source, "fare_attributes.txt", &required, faults, |line, faults| {
        let Some(id) = line.need("fare_id", faults).map(str::to_owned) else { return };
        if prices.contains_key(&id) {
            return faults.push(line.fault("fare_id", "a fare stands once; the first is taken"));
        }
        let is_of_currency = line.get("currency_type") == currency.code();
        if !is_of_currency {
            faults.push(line.fault("currency_type", &format!("{currency}, as the mapping says")));
        }
        let price = line.read("price", faults, |text| currency.amount(short(text)));
        prices.insert(id, price.filter(|_| is_of_currency));
    });
    if !has {
        faults.push(Fault::of_file(
            "fare_attributes.txt",
            "this file is missing, and the mapping takes fares from it",
        ));
    }
    prices
}

/// A price without the zeros behind its decimals: feeds write `160.00` of any currency.
fn short(price: &str) -> &str {
    if price.contains('.') { price.trim_end_matches('0').trim_end_matches('.') } else { price }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_behind_the_point_are_no_decimals() {
        for (price, expected) in
            [("160", "160"), ("160.00", "160"), ("1.50", "1.5"), ("100", "100"), ("0.05", "0.05")]
        {
            assert_eq!(short(price), expected);
        }
    }
}
