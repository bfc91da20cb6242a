"use strict";
// Keeps the pages of tickets that were opened, and shows them while there is no network.
const KEPT = "farebox-tickets-1";
const STYLE = "STYLE_ADDRESS";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((kept) => kept.add(STYLE)).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

const isTicket = (address) => /^\/ride\/orders\/[0-9a-f-]{36}$/.test(address.pathname);

self.addEventListener("fetch", (event) => {
  const address = new URL(event.request.url);
  if (event.request.method !== "GET" || address.origin !== location.origin) return;
  if (address.pathname === STYLE) {
    event.respondWith(caches.match(STYLE).then((kept) => kept || fetch(event.request)));
    return;
  }
  if (!isTicket(address)) return;
  event.respondWith((async () => {
    const kept = await caches.open(KEPT);
    try {
      const answer = await fetch(event.request);
      const text = answer.ok && !answer.redirected ? await answer.clone().text() : "";
      if (text.includes("data-ticket")) await kept.put(address.pathname, answer.clone());
      else if (answer.ok) await kept.delete(address.pathname);
      return answer;
    } catch (error) {
      const ticket = await kept.match(address.pathname);
      if (ticket) return ticket;
      throw error;
    }
  })());
});
