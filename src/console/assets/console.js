// Live parts, their freshness, the pause, and the keys. Pages work without it.
"use strict";

// A refused form is shown under the address that it was sent to: its page's own address comes back.
const refused = document.querySelector("[data-page]");
if (refused) history.replaceState(null, "", refused.dataset.page);

const root = document.documentElement;
root.dataset.scripted = ""; // what works by the script alone is shown
const find = document.getElementById("q");
if (find) find.placeholder += "  /";
const pause = document.getElementById("pause");
const bar = document.getElementById("stale");
const asOf = document.getElementById("as-of");
const isLive = document.querySelector("[data-live]:not(html)") !== null;
const STALE_MS = 4500; // above the server's longest silence and rendering
const TICK_MS = 250; // with STALE_MS below the 5 s that operators are promised
const RENDER_MS = 3000; // a rendering that is due may take this long
const RETRY_MS = 2000;
const ASK_MS = 2500; // the server's own limit is 1.5 s
const STREAMS = 3; // of one browser, which has six connections to an origin
const address = location.pathname + (location.search ? location.search + "&" : "?") + "live=1";
// Pages without a session hear of the database alone, and only from each other.
const beatAddress = bar?.dataset.beat || "/console/beat";
const beats = new BroadcastChannel(beatAddress);
let stream = null;
let release = null;
let timer = 0;
let turn = 0;
let paused = false;
let ended = false;
let asking = false;
let heard = performance.now(); // the last sign of life
let drawn = heard; // the last rendering of the live parts
let opened = heard;
let allowed = STALE_MS; // how old the live parts may be
let reason = "server";

// A focused field or a checked box, or what contains one, is not removed.
function inUse(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return false;
  const active = document.activeElement;
  const editing = active && node.contains(active) && active.matches("input, select, textarea");
  return editing || node.matches("input[type=checkbox]:checked") || node.querySelector("input[type=checkbox]:checked") !== null;
}

// What a node is about: rows and fields are matched by it, so that no row becomes another's.
function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return "";
  if (node.id) return node.id;
  if (node.matches("input, select, textarea, button")) return `${node.name || ""}=${node.type === "checkbox" ? node.value : ""}`;
  if (!node.matches("tr, li")) return "";
  const box = node.querySelector("input[type=checkbox]");
  return box ? box.value : node.querySelector("a[href]")?.getAttribute("href") || "";
}

function morphAttributes(old, fresh) {
  const stays = (name) => (name === "open" && old.nodeName === "DETAILS")
    || (name === "value" && old === document.activeElement);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !stays(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !stays(name)) old.setAttribute(name, value);
  }
}

// Makes the children of one element those of another, and keeps each node that fits or is in use.
function morph(old, fresh) {
  const wanted = [...fresh.childNodes];
  const keys = new Set(wanted.map(keyOf));
  const kept = new Map();
  for (const node of [...old.childNodes]) {
    const key = keyOf(node);
    if (key && !keys.has(key) && !inUse(node)) node.remove();
    else if (key && !kept.has(key)) kept.set(key, node);
  }
  const fits = (one, other) => one.nodeName === other.nodeName && keyOf(one) === keyOf(other);
  let at = old.firstChild;
  for (const want of wanted) {
    const mine = kept.get(keyOf(want));
    if (mine && mine !== at && mine.nodeName === want.nodeName) { old.insertBefore(mine, at); at = mine; }
    if (!at || !fits(at, want)) { old.insertBefore(want, at); continue; }
    kept.delete(keyOf(want));
    if (at.nodeType !== Node.ELEMENT_NODE) {
      if (at.data !== want.data) at.data = want.data;
    } else {
      morphAttributes(at, want);
      // What a button has said of itself is the page's own.
      if (!at.matches("textarea, .copied [role=status]")) morph(at, want);
    }
    at = at.nextSibling;
  }
  while (at) { const rest = at.nextSibling; if (!inUse(at)) at.remove(); at = rest; }
}

function merge(id, markup) {
  const part = document.getElementById(id);
  if (!part) return;
  const active = document.activeElement;
  const href = part.contains(active) ? active.getAttribute("href") : null;
  // The server's marks stand in the page alone: beside them nothing would fit what is sent.
  for (const node of [...part.childNodes]) if (node.nodeType === Node.COMMENT_NODE) node.remove();
  const fresh = document.createElement("template");
  fresh.innerHTML = markup;
  morph(part, fresh.content);
  // A node that was moved has lost the focus, and so has one that was replaced.
  if (document.activeElement === active) return;
  if (part.contains(active)) active.focus();
  else if (href) part.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus();
}

// The tab shows how things stand, as the page does.
function tell() {
  const tab = document.getElementById("tab");
  if (!tab || document.title === tab.dataset.title) return;
  document.title = tab.dataset.title;
  document.getElementById("icon").href = tab.dataset.icon;
}

function show(why) {
  if (!bar || (root.dataset.stale || "") === why) return;
  if (!why) { delete root.dataset.stale; bar.replaceChildren(); return; }
  root.dataset.stale = why;
  bar.textContent = bar.dataset[why] + " ";
  if (why !== "session") return;
  const link = document.createElement("a");
  link.href = bar.dataset.signIn;
  link.textContent = bar.dataset.signInWords;
  bar.append(link);
}

// A rendering arrived, and the next one is due after `pause_ms`.
function draw(pause_ms) {
  heard = drawn = performance.now();
  allowed = Math.max(STALE_MS, pause_ms + RENDER_MS);
  reason = "server";
  show("");
}

// How the server answers: "ok", "session", "database", "busy" or "server".
async function ask() {
  const abort = new AbortController();
  const limit = setTimeout(() => abort.abort(), ASK_MS);
  try {
    const answer = await fetch(beatAddress, { cache: "no-store", signal: abort.signal });
    if (answer.ok) return "ok";
    if (answer.status === 401) return "session";
    if (answer.status === 503 && await answer.text() === "database") return "database";
    return answer.status === 503 || answer.status === 429 ? "busy" : "server";
  } catch { return "server"; } finally { clearTimeout(limit); }
}

// What this page or another one of the browser has heard.
function hear(said) {
  if (ended) return;
  if (said === "session") { end(); return; }
  if (said === "ok") {
    heard = performance.now();
    // Live parts are fresh again when they are rendered.
    if (!isLive || (reason === "database" && heard - drawn < allowed)) { reason = "server"; show(""); }
    return;
  }
  if (isLive && stream) return;
  reason = said;
  if (said === "database" && !paused) show(said);
}

// Asks for all pages of the browser, unless another one does so just now.
async function beat() {
  if (asking) return;
  asking = true;
  const work = async () => { const said = await ask(); hear(said); beats.postMessage(said); };
  try {
    if (!navigator.locks) await work();
    else await navigator.locks.request(beatAddress, { ifAvailable: true }, (lock) => lock && work());
  } finally { asking = false; }
}

// Whether something was written into a form of the page.
function isEdited() {
  const fields = document.querySelectorAll("main form[method=post] :is(input, textarea):not([type=hidden])");
  return [...fields].some((field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked);
}

// Loads the page again once the server answers with one of these. What was written stays.
async function comeBack(...good) {
  if (!document.hidden && !isEdited() && good.includes(await ask())) { location.reload(); return; }
  setTimeout(comeBack, RETRY_MS, ...good);
}

function end() {
  if (ended) return;
  stop();
  ended = true;
  if (isLive) root.dataset.live = "off";
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

function later(wait) { stop(); timer = setTimeout(listen, wait); }

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
    tell();
    root.dataset.seen = String(Number(root.dataset.seen || 0) + 1);
  });
  source.addEventListener("beat", (event) => {
    draw(Number(event.data));
    beats.postMessage("ok");
    root.dataset.live = "on";
    if (!free) later(Math.max(RETRY_MS, Number(event.data))); // no slot: one rendering at a time
  });
  source.addEventListener("alive", () => { hear("ok"); beats.postMessage("ok"); });
  source.addEventListener("failing", (event) => {
    reason = event.data;
    show(reason);
    if (reason === "database") beats.postMessage(reason);
  });
  source.addEventListener("busy", () => { reason = "busy"; later(RETRY_MS); });
  source.addEventListener("over", (event) => { if (event.data === "session") end(); else location.reload(); });
  source.addEventListener("error", async () => {
    root.dataset.live = "off";
    const refused = source.readyState === EventSource.CLOSED;
    later(RETRY_MS);
    if (!refused) return;
    const why = await ask();
    if (why === "session") end(); else if (why !== "ok") reason = why;
  });
}

function begin() { opened = performance.now(); if (isLive) listen(); }

function toggle() {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? pause.dataset.off : pause.dataset.on;
  if (paused) { stop(); root.dataset.live = "paused"; show(""); } else begin();
}

function tick() {
  const now = performance.now();
  if (asOf) {
    const words = asOf.dataset.words.replace("{n}", String(Math.floor((now - drawn) / 1000)));
    if (asOf.textContent !== words) asOf.textContent = words;
  }
  if (ended || document.hidden) return;
  const silent = now - Math.max(heard, opened);
  const isOld = isLive && now - Math.max(drawn, opened) > allowed;
  if (!paused && (silent > STALE_MS || isOld)) show(reason);
  if (!stream && silent > RETRY_MS) beat();
}

if (bar) {
  if (isLive) { pause.hidden = false; pause.addEventListener("click", toggle); }
  beats.addEventListener("message", (event) => hear(event.data));
  if (!document.hidden) begin();
  setInterval(tick, TICK_MS);
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

// The server shows times by the browser's zone, from the next page on.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `farebox_browser_zone=${zone}; path=/console; max-age=31536000; samesite=lax`;

// How long ago, as the server says it; live parts are the server's alone.
function ago(secs) {
  const chinese = root.lang === "zh";
  const size = Math.abs(secs);
  if (size < 60) return secs < 0 ? (chinese ? "不到 1 分钟后" : "in less than 1 min") : chinese ? "不到 1 分钟前" : "less than 1 min ago";
  const [number, en, zh] = size < 3600 ? [size / 60, "min", "分钟"] : size < 172800 ? [size / 3600, "h", "小时"] : [size / 86400, "days", "天"];
  const many = Math.floor(number);
  if (chinese) return `${many} ${zh}${secs < 0 ? "后" : "前"}`;
  return secs < 0 ? `in ${many} ${en}` : `${many} ${en} ago`;
}

function age() {
  // By the server's clock, which was right when the page was made.
  const now = Number(root.dataset.now) + performance.now();
  for (const shown of document.querySelectorAll("main time + .ago")) {
    const at = Date.parse(shown.previousElementSibling.dateTime);
    if (!shown.closest("[data-live]:not(html)")) shown.textContent = ago(Math.trunc((now - at) / 1000));
  }
}

setInterval(age, 30000);

// A box that checks all boxes of a list.
document.addEventListener("change", (event) => {
  const all = event.target.closest?.("[data-all]");
  if (!all) return;
  all.closest("form").querySelectorAll(`input[name="${all.dataset.all}"]`).forEach((box) => { box.checked = all.checked; });
});
