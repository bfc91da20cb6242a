// What an app does, with the client that is made from the document.

import createClient from "openapi-fetch";
import type { components, paths } from "./farebox.js";

declare const process: { env: Record<string, string | undefined> };

type Order = components["schemas"]["OrderView"];

function expect<T>(value: T, wanted: T, what: string): void {
  if (JSON.stringify(value) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(value)} instead of ${JSON.stringify(wanted)}`);
  }
}

function some<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new Error(`no ${what}`);
  return value;
}

const env = (name: string): string => some(process.env[name], name);
const api = createClient<paths>({ baseUrl: env("FAREBOX_URL") });
const trip_id = env("FAREBOX_TRIP");
const pay_password = env("FAREBOX_PAY_PASSWORD");

const session = await api.POST("/v1/sessions", {
  body: { user_name: env("FAREBOX_USER"), password: env("FAREBOX_PASSWORD") },
});
const token = some(session.data, "session").token;
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${token}`);
    return request;
  },
});

async function book(seats: string[], key: string) {
  return api.POST("/v1/orders", {
    params: { header: { "Idempotency-Key": key } },
    body: { trip_id, seats },
  });
}

// The seats, and again with the validator.
const shown = await api.GET("/v1/trips/{id}", { params: { path: { id: trip_id } } });
const seats = some(shown.data, "trip").seats;
expect(seats.find((seat) => seat.seat === "3")?.state, "held", "seat 3");
const tag = some(shown.response.headers.get("etag"), "validator");
const known = await api.GET("/v1/trips/{id}", {
  params: { path: { id: trip_id }, header: { "If-None-Match": tag } },
});
expect(known.response.status, 304, "the same trip");

// A booking, and a lost seat.
const booked: Order = some((await book(["1", "2"], "ts-1")).data, "order");
expect(booked.status, "unpaid", "the new order");
const lost = await book(["3", "4"], "ts-2");
const problem = some(lost.error, "problem");
expect([lost.response.status, problem.code, problem.seats], [409, "004000", ["3"]], "a lost seat");

// A payment, and its replay.
const pay = (id: string, key: string) =>
  api.POST("/v1/orders/{id}/pay", {
    params: { path: { id }, header: { "Idempotency-Key": key } },
    body: { pay_password },
  });
const paid = await pay(booked.id, "ts-3");
expect(some(paid.data, "payment").status, "paid", "the payment");
expect(paid.response.headers.get("idempotent-replayed"), null, "the first answer");
const replayed = await pay(booked.id, "ts-3");
expect(replayed.data, paid.data, "the replay");
expect(replayed.response.headers.get("idempotent-replayed"), "true", "the mark of the replay");

// A refund.
const second = some((await book(["5"], "ts-4")).data, "second order");
await pay(second.id, "ts-5");
const refunded = await api.POST("/v1/orders/{id}/refund", {
  params: { path: { id: second.id }, header: { "Idempotency-Key": "ts-6" } },
});
expect(some(refunded.data, "refund").status, "refunded", "the refund");
const wallet = some((await api.GET("/v1/wallet")).data, "wallet");
expect(wallet, { balance: "92.00", currency: "CNY" }, "the wallet");

// Orders, page by page.
await book(["6"], "ts-7");
const found: string[] = [];
let after: string | undefined;
do {
  const page = some(
    (await api.GET("/v1/orders", { params: { query: { list: "all", limit: 1, ...(after ? { after } : {}) } } })).data,
    "page",
  );
  found.push(...page.items.map((order) => order.status));
  after = page.next ?? undefined;
} while (after !== undefined);
expect(found, ["unpaid", "refunded", "paid", "closed"], "the orders");

// A payment that failed, and was given back.
const failed = await api.GET("/v1/orders/{id}", { params: { path: { id: env("FAREBOX_FAILED") } } });
expect(some(failed.data, "failed payment").payments.map((one) => one.state), ["reversed"], "a failed payment");

// An error that names its field.
const wrong = await api.POST("/v1/orders", { body: { trip_id, seats: [] } });
const fault = some(wrong.error, "fault");
expect([wrong.response.status, fault.code, fault.field], [422, "003074", "/seats"], "an error");
