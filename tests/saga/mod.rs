//! Bookings, payments and cancellations while steps fail, processes die and connections are lost.

mod cancel_safety;
mod crashes;
mod lost_commit;
mod matrix;
mod trip_cancel;
