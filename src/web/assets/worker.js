"use strict";
// Keeps the pages of tickets that were opened, with what they name, and shows them while there is no network.
// Forgets all of them when their rider signs out, when somebody signs in, or when the server asks to sign in.
const KEPT = "farebox-tickets-1";
let forgotten = 0; // what was asked for before is not kept any more
const forget = () => { forgotten += 1; return caches.delete(KEPT); };

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

const isTicket = (address) => /^\/ride\/orders\/[0-9a-f-]{36}$/.test(address.pathname);

const keep = async (path, answer, text, since) => {
  const kept = await caches.open(KEPT);
  if (since !== forgotten) return;
  await kept.put(path, answer);
  for (const asset of text.match(/\/ride\/assets\/\w+\.(css|js)/g) || []) {
    if (!(await kept.match(asset))) await kept.add(asset).catch(() => undefined);
  }
};

// What the answer to a ticket's page means for the tickets that are kept.
const learn = async (path, answer, since) => {
  // The only way that the page leads elsewhere is to signing in.
  if (answer.type === "opaqueredirect" || answer.redirected || answer.status === 401) return forget();
  if (!answer.ok && ![403, 404, 410].includes(answer.status)) return;
  const text = await answer.clone().text();
  if (answer.ok && text.includes("data-ticket")) return keep(path, answer, text, since);
  await (await caches.open(KEPT)).delete(path);
};

const SESSIONS = ["/ride/sign-in", "/ride/register", "/ride/sign-out"]; // what begins and ends them

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  const path = address.pathname;
  if (address.origin !== location.origin) return;
  if (request.method === "POST" && SESSIONS.includes(path)) event.waitUntil(forget());
  if (request.method !== "GET") return;
  if (path.startsWith("/ride/assets/")) {
    event.respondWith(caches.match(path).then((kept) => kept || fetch(request)));
    return;
  }
  if (!isTicket(address)) return;
  const since = forgotten;
  event.respondWith((async () => {
    try {
      const answer = await fetch(request);
      event.waitUntil(learn(path, answer.clone(), since));
      return answer;
    } catch (error) {
      const kept = await caches.open(KEPT);
      const ticket = await kept.match(path);
      if (ticket) return ticket;
      throw error;
    }
  })());
});
