-- Validates what the migration before added, and blocks no writer.
alter table trip validate constraint trip_class_prices_are_of_a_model;
alter table trip validate constraint trip_price_is_its_lowest;
alter table orders validate constraint order_labels_are_of_its_seats;
alter table orders validate constraint order_has_one_price_or_one_for_each_seat;
alter table orders validate constraint order_amount_is_the_sum_of_its_prices;
