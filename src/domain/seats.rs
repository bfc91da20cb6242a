//! Seat labels and the layout of a bus: rows of four, two left of the aisle and two right.

use super::FieldError;

/// The highest seat number of any bus.
const MAX_SEAT: i32 = 100_000;
/// Seats in a row.
const ROW: i32 = 4;

/// The seats of one booking: at least one, distinct, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatSet(Vec<i32>);

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
        let mut seats = Vec::with_capacity(labels.len());
        for (at, label) in labels.iter().enumerate() {
            let seat = seat_number(label).ok_or_else(|| {
                FieldError::new(format!("/seats/{at}"), "a seat is a number from 1, like \"12\"")
            })?;
            if seats.contains(&seat) {
                return Err(FieldError::new(format!("/seats/{at}"), "each seat may be named once"));
            }
            seats.push(seat);
        }
        seats.sort_unstable();
        Ok(Self(seats))
    }

    /// The numbers, ascending.
    pub fn numbers(&self) -> &[i32] {
        &self.0
    }
}

fn seat_number(label: &str) -> Option<i32> {
    let canonical = label.bytes().all(|b| b.is_ascii_digit()) && !label.starts_with('0');
    label.parse().ok().filter(|seat| canonical && (1..=MAX_SEAT).contains(seat))
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
        assert_eq!(parse(&["12", "3"]).expect("two seats").numbers(), [3, 12]);
        assert_eq!(place_of(1), (1, "left"));
        assert_eq!(place_of(4), (1, "right"));
        assert_eq!(place_of(18), (5, "left"));
    }

    #[test]
    fn bad_labels_name_their_place() {
        let cases: [(&[&str], &str); 8] = [
            (&[], "/seats"),
            (&["0"], "/seats/0"),
            (&[""], "/seats/0"),
            (&["1", "3,3"], "/seats/1"),
            (&["5", "5"], "/seats/1"),
            (&["01"], "/seats/0"),
            (&["-1"], "/seats/0"),
            (&["99999999999"], "/seats/0"),
        ];
        for (labels, pointer) in cases {
            assert_eq!(parse(labels).expect_err("bad labels").pointer, pointer, "{labels:?}");
        }
        let many: Vec<String> = (1..=21).map(|n| n.to_string()).collect();
        assert_eq!(SeatSet::parse(&many, 20).expect_err("21 seats").pointer, "/seats");
    }
}
