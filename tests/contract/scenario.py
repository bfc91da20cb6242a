"""What an app does, with the client that is made from the document."""

import os
from typing import TypeVar

from farebox_client import AuthenticatedClient, Client
from farebox_client.api.orders import book_seats, get_order, list_orders, pay_order, refund_order
from farebox_client.api.sessions import sign_in
from farebox_client.api.trips import get_trip
from farebox_client.api.wallet import get_wallet
from farebox_client.models import (
    Credentials,
    EmptyBody,
    NewOrder,
    OrderDetail,
    OrderList,
    OrderPaymentState,
    OrderStatus,
    OrderView,
    PageOfListedOrder,
    PayWith,
    Problem,
    ProblemCode,
    SeatState,
    Session,
    TripDetail,
    Wallet,
)
from uuid import UUID

T = TypeVar("T")


def some(value: object, kind: type[T]) -> T:
    assert isinstance(value, kind), value
    return value


URL = os.environ["FAREBOX_URL"]
TRIP = UUID(os.environ["FAREBOX_TRIP"])
PAY = PayWith(pay_password=os.environ["FAREBOX_PAY_PASSWORD"])

credentials = Credentials(user_name=os.environ["FAREBOX_USER"], password=os.environ["FAREBOX_PASSWORD"])
session = some(sign_in.sync(client=Client(URL), body=credentials), Session)
client = AuthenticatedClient(URL, session.token)


def book(seats: list[str], key: str) -> object:
    return book_seats.sync(client=client, body=NewOrder(seats=seats, trip_id=TRIP), idempotency_key=key)


# The seats, and again with the validator.
shown = get_trip.sync_detailed(TRIP, client=client)
states = {seat.seat: seat.state for seat in some(shown.parsed, TripDetail).seats}
assert states["3"] is SeatState.HELD, states
known = get_trip.sync_detailed(TRIP, client=client, if_none_match=shown.headers["etag"])
assert known.status_code == 304 and known.parsed is None

# A booking, and a lost seat.
booked = some(book(["1", "2"], "py-1"), OrderView)
assert booked.status is OrderStatus.UNPAID
lost = some(book(["3", "4"], "py-2"), Problem)
assert lost.status == 409 and lost.code is ProblemCode.SEAT_ALREADY_CHOSEN and lost.seats == ["3"]

# A payment, and its replay.
paid = pay_order.sync_detailed(booked.id, client=client, body=PAY, idempotency_key="py-3")
assert some(paid.parsed, OrderView).status is OrderStatus.PAID
assert "idempotent-replayed" not in paid.headers
replayed = pay_order.sync_detailed(booked.id, client=client, body=PAY, idempotency_key="py-3")
assert replayed.parsed == paid.parsed and replayed.headers["idempotent-replayed"] == "true"

# A refund.
second = some(book(["5"], "py-4"), OrderView)
some(pay_order.sync(second.id, client=client, body=PAY, idempotency_key="py-5"), OrderView)
refunded = refund_order.sync(second.id, client=client, body=EmptyBody(), idempotency_key="py-6")
assert some(refunded, OrderView).status is OrderStatus.REFUNDED
wallet = some(get_wallet.sync(client=client), Wallet)
assert (wallet.balance, wallet.currency) == ("92.00", "CNY"), wallet

# Orders, page by page.
some(book(["6"], "py-7"), OrderView)
page = some(list_orders.sync(client=client, list_=OrderList.ALL, limit=1), PageOfListedOrder)
found = [order.status for order in page.items]
while page.next_ is not None:
    page = some(
        list_orders.sync(client=client, list_=OrderList.ALL, limit=1, after=page.next_), PageOfListedOrder
    )
    found += [order.status for order in page.items]
assert found == [OrderStatus.UNPAID, OrderStatus.REFUNDED, OrderStatus.PAID, OrderStatus.CLOSED], found

# A payment that failed, and was given back.
failed = some(get_order.sync(UUID(os.environ["FAREBOX_FAILED"]), client=client), OrderDetail)
assert [payment.state for payment in failed.payments] == [OrderPaymentState.REVERSED], failed.payments

# An error that names its field.
wrong = some(book([], "py-8"), Problem)
assert (wrong.status, wrong.code, wrong.field) == (422, ProblemCode.PARAMETER_WRONG, "/seats")
