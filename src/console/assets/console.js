// Live parts, their freshness, the pause, and the keys. Pages work without it.
"use strict";

const root = document.documentElement;
const pause = document.getElementById("pause");
const bar = document.getElementById("stale");
const asOf = document.getElementById("as-of");
const STALE_MS = 5000; // as the server's longest pause and rendering
const RETRY_MS = 2000;
const STREAMS = 3; // of one browser, which has six connections to an origin
const address = location.pathname + (location.search ? location.search + "&" : "?") + "live=1";
let stream = null;
let release = null;
let timer = 0;
let turn = 0;
let paused = false;
let ended = false;
let heard = performance.now();
let opened = heard;
let reason = "server";

// A part with a focused field or a checked box is not changed.
function inUse(part) {
  const active = document.activeElement;
  const editing = active && part.contains(active) && active.matches("input, select, textarea");
  return editing || part.querySelector("input[type=checkbox]:checked") !== null;
}

// Makes the children of one element those of another, and keeps each node that fits.
function morph(old, fresh) {
  const fits = (one, other) => one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
  let at = old.firstChild;
  for (const want of [...fresh.childNodes]) {
    const kept = want.id ? [...old.children].find((one) => one.id === want.id) : null;
    if (kept && kept !== at) { old.insertBefore(kept, at); at = kept; }
    if (!at || !fits(at, want)) { old.insertBefore(want, at); continue; }
    if (at.nodeType !== Node.ELEMENT_NODE) {
      if (at.data !== want.data) at.data = want.data;
    } else {
      const stays = (name) => name === "open" && at.nodeName === "DETAILS";
      for (const { name } of [...at.attributes]) if (!want.hasAttribute(name) && !stays(name)) at.removeAttribute(name);
      for (const { name, value } of want.attributes) {
        if (at.getAttribute(name) !== value && !stays(name)) at.setAttribute(name, value);
      }
      morph(at, want);
    }
    at = at.nextSibling;
  }
  while (at) { const rest = at.nextSibling; at.remove(); at = rest; }
}

function merge(id, markup) {
  const part = document.getElementById(id);
  if (!part || inUse(part)) return;
  const active = document.activeElement;
  const href = part.contains(active) ? active.getAttribute("href") : null;
  const fresh = document.createElement("template");
  fresh.innerHTML = markup;
  morph(part, fresh.content);
  const now = document.activeElement;
  if (href && now.getAttribute("href") !== href) part.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus();
}

function show(why) {
  if ((root.dataset.stale || "") === why) return;
  if (!why) { delete root.dataset.stale; bar.replaceChildren(); return; }
  root.dataset.stale = why;
  bar.textContent = bar.dataset[why] + " ";
  if (why !== "session") return;
  const link = document.createElement("a");
  link.href = bar.dataset.signIn;
  link.textContent = bar.dataset.signInWords;
  bar.append(link);
}

function hear() { heard = performance.now(); reason = "server"; show(""); }

// How the page's own address answers: "ok", "session", "database" or "server".
async function ask() {
  const abort = new AbortController();
  const limit = setTimeout(() => abort.abort(), STALE_MS);
  try {
    const answer = await fetch(address, { redirect: "manual", cache: "no-store", signal: abort.signal });
    if (answer.ok) return "ok";
    if (answer.type === "opaqueredirect" || answer.status === 401) return "session";
    return answer.status === 503 ? "database" : "server";
  } catch { return "server"; } finally { clearTimeout(limit); abort.abort(); }
}

// Loads the page again once its address answers with one of these.
async function comeBack(...good) {
  if (!document.hidden && good.includes(await ask())) { location.reload(); return; }
  setTimeout(comeBack, RETRY_MS, ...good);
}

function end() {
  if (ended) return;
  stop();
  ended = true;
  root.dataset.live = "off";
  show("session");
  setTimeout(comeBack, RETRY_MS, "ok");
}

// One of the browser's few streams, or null; without Web Locks each page has one.
async function slot() {
  if (!navigator.locks) return () => {};
  for (let nr = 0; nr < STREAMS; nr += 1) {
    const free = await new Promise((given) => {
      navigator.locks.request(`farebox-stream-${nr}`, { ifAvailable: true }, (lock) => {
        if (!lock) { given(null); return null; }
        return new Promise((done) => given(done));
      });
    });
    if (free) return free;
  }
  return null;
}

function stop() {
  turn += 1;
  clearTimeout(timer);
  stream?.close();
  release?.();
  stream = release = null;
}

function later() { stop(); timer = setTimeout(listen, RETRY_MS); }

async function listen() {
  stop();
  const mine = turn;
  const free = await slot();
  if (mine !== turn) { free?.(); return; }
  release = free;
  const source = new EventSource(address);
  stream = source;
  source.addEventListener("part", (event) => {
    const { id, html } = JSON.parse(event.data);
    merge(id, html);
    root.dataset.seen = String(Number(root.dataset.seen || 0) + 1);
  });
  source.addEventListener("beat", () => {
    hear();
    root.dataset.live = "on";
    if (!free) later(); // no slot: one rendering at a time
  });
  source.addEventListener("failing", (event) => { reason = event.data; show(reason); });
  source.addEventListener("busy", () => { reason = "busy"; later(); });
  source.addEventListener("over", (event) => { if (event.data === "session") end(); else location.reload(); });
  source.addEventListener("error", async () => {
    root.dataset.live = "off";
    const refused = source.readyState === EventSource.CLOSED;
    later();
    if (!refused) return;
    const why = await ask();
    if (why === "session") end(); else if (why !== "ok") reason = why;
  });
}

function begin() { opened = performance.now(); listen(); }

function toggle() {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? pause.dataset.off : pause.dataset.on;
  if (paused) { stop(); root.dataset.live = "paused"; show(""); } else begin();
}

function tick() {
  const now = performance.now();
  const words = asOf.dataset.words.replace("{n}", String(Math.floor((now - heard) / 1000)));
  if (asOf.textContent !== words) asOf.textContent = words;
  if (!paused && !ended && !document.hidden && now - Math.max(heard, opened) > STALE_MS) show(reason);
}

if (pause && document.querySelector("[data-live]:not(html)")) {
  pause.hidden = false;
  pause.addEventListener("click", toggle);
  if (!document.hidden) begin();
  setInterval(tick, 500);
  document.addEventListener("visibilitychange", () => {
    if (paused || ended) return;
    if (document.hidden) stop(); else begin();
  });
  // A page that is left closes its stream.
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => { if (event.persisted && !paused && !ended) begin(); });
}

const retry = document.querySelector("[data-retry]");
if (retry) { retry.hidden = false; setTimeout(comeBack, RETRY_MS, "ok", "session"); }

// A box that checks all boxes of a list.
document.addEventListener("change", (event) => {
  const all = event.target.closest?.("[data-all]");
  if (!all) return;
  all.closest("form").querySelectorAll(`input[name="${all.dataset.all}"]`).forEach((box) => { box.checked = all.checked; });
});

const pages = { h: "/console", j: "/console/jobs", q: "/console/queues", b: "/console/bulk", o: "/console/orders",
  t: "/console/trips", r: "/console/riders", a: "/console/audit" };
let going = false;

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input, select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key;
  const was = going;
  going = false;
  if (was && pages[key]) { location.assign(pages[key]); return; }
  if (key === "g") { going = true; return; }
  if (key === "/") { event.preventDefault(); document.getElementById("q")?.focus(); }
  if (key === "p" && pause && !pause.hidden) toggle();
  if (key === "?") { const keys = document.getElementById("keys"); keys.open = !keys.open; keys.scrollIntoView(); }
});
