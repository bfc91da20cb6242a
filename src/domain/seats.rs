//! Seat labels, and the layout of a bus that has no model: rows of four, two left of the aisle and two
//! right.

use super::{FieldError, text_rules::fault_of_name};
use std::cmp::Ordering;

/// Most characters of a seat's label.
pub const MAX_SEAT_LABEL: usize = 8;
/// The highest seat number of any bus.
const MAX_SEAT: i32 = 100_000;
/// Seats in a row.
const ROW: i32 = 4;

/// The seats of one booking by their labels: at least one, distinct, sorted as people count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatSet(Vec<String>);

impl SeatSet {
    /// Reads labels as a client sends them in field `seats`; at most `most` of them.
    ///
    /// # Errors
    /// Names the label at fault and the rule it breaks.
    pub fn parse(labels: &[String], most: usize) -> Result<Self, FieldError> {
        if labels.is_empty() {
            return Err(FieldError::new("/seats", "at least one seat is needed"));
        }
        if labels.len() > most {
            return Err(FieldError::new("/seats", format!("at most {most} seats can be booked at once")));
        }
        let mut seats: Vec<&String> = Vec::with_capacity(labels.len());
        for (at, label) in labels.iter().enumerate() {
            if let Some(fault) = fault_of_label(label) {
                let rule = format!("a seat is a label, like \"12\" or \"1A\": {fault}");
                return Err(FieldError::new(format!("/seats/{at}"), rule));
            }
            seats.push(label);
        }
        let mut sorted = seats.clone();
        sorted.sort_unstable_by(|a, b| counted(a, b));
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let mut at = (0..).zip(&seats).filter(|(_, label)| **label == twice[0]).map(|(at, _)| at);
            let at: usize = at.nth(1).unwrap_or_default();
            return Err(FieldError::new(format!("/seats/{at}"), "each seat may be named once"));
        }
        Ok(Self(sorted.into_iter().cloned().collect()))
    }

    /// The labels.
    pub fn labels(&self) -> &[String] {
        &self.0
    }

    /// How many seats these are, at least one.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The number of each, on a trip whose seats are labelled with their numbers; `None` where there
    /// can be no such seat.
    pub fn numbers(&self) -> impl Iterator<Item = Option<i32>> + '_ {
        self.0.iter().map(|label| seat_number(label))
    }

    /// Those of the seats whose labels are not among these.
    pub fn without(&self, labels: &[String]) -> Vec<String> {
        self.0.iter().filter(|label| !labels.contains(label)).cloned().collect()
    }
}

/// Why a text is no label of a seat.
pub fn fault_of_label(label: &str) -> Option<String> {
    let has = |fits: fn(char) -> bool| label.chars().any(fits);
    fault_of_name(label, MAX_SEAT_LABEL).or_else(|| {
        // Labels are painted between blanks and listed between commas.
        (has(char::is_whitespace) || has(|c| c == ',')).then(|| "no blanks and no commas".to_owned())
    })
}

/// 2 before 10, 9B before 10A; labels that begin with no digit come last.
fn counted(a: &str, b: &str) -> Ordering {
    let number = |label: &str| {
        let digits = label.bytes().take_while(u8::is_ascii_digit).count();
        label.get(..digits).and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(u64::MAX)
    };
    number(a).cmp(&number(b)).then_with(|| a.cmp(b))
}

/// The seat that this label names where labels are numbers.
pub fn seat_number(label: &str) -> Option<i32> {
    let canonical = label.bytes().all(|b| b.is_ascii_digit()) && !label.starts_with('0');
    label.parse().ok().filter(|seat| canonical && (1..=MAX_SEAT).contains(seat))
}

/// The labels of seats as a sentence lists them; their numbers, if there are no labels.
pub fn list_seats(numbers: &[i32], labels: &[String]) -> String {
    if labels.is_empty() {
        return numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    }
    labels.join(", ")
}

/// The row (from 1) and the side of the aisle of a seat.
pub fn place_of(seat: i32) -> (i32, &'static str) {
    ((seat - 1) / ROW + 1, if (seat - 1) % ROW < ROW / 2 { "left" } else { "right" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(labels: &[&str]) -> Result<SeatSet, FieldError> {
        SeatSet::parse(&labels.iter().map(|&l| l.to_owned()).collect::<Vec<_>>(), 20)
    }

    #[test]
    fn seats_are_sorted_and_placed() {
        let seats = parse(&["12", "3"]).expect("two seats");
        assert_eq!(seats.labels(), ["3", "12"]);
        assert_eq!(seats.numbers().collect::<Vec<_>>(), [Some(3), Some(12)]);
        let seats = parse(&["U1", "10A", "9B", "9A", "上2"]).expect("five seats");
        assert_eq!(seats.labels(), ["9A", "9B", "10A", "U1", "上2"]);
        assert_eq!(place_of(1), (1, "left"));
        assert_eq!(place_of(4), (1, "right"));
        assert_eq!(place_of(18), (5, "left"));
    }

    #[test]
    fn only_a_canonical_number_is_one() {
        let numbers = ["1", "100000", "0", "01", "-1", "+1", "100001", "1A", "１"].map(seat_number);
        assert_eq!(numbers, [Some(1), Some(100_000), None, None, None, None, None, None, None]);
    }

    #[test]
    fn bad_labels_name_their_place() {
        let cases: [(&[&str], &str); 8] = [
            (&[], "/seats"),
            (&["1A "], "/seats/0"),
            (&[""], "/seats/0"),
            (&["1", "3,3"], "/seats/1"),
            (&["5", "5"], "/seats/1"),
            (&["5", "1A", "6", "1A"], "/seats/3"),
            (&["1\u{200b}"], "/seats/0"),
            (&["99999999999"], "/seats/0"),
        ];
        for (labels, pointer) in cases {
            assert_eq!(parse(labels).expect_err("bad labels").pointer, pointer, "{labels:?}");
        }
        let many: Vec<String> = (1..=21).map(|n| n.to_string()).collect();
        assert_eq!(SeatSet::parse(&many, 20).expect_err("21 seats").pointer, "/seats");
    }
}
