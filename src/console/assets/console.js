// Live parts, the pause, and the keys. Pages work without it.
"use strict";

// A refused form is shown under the address that it was sent to: its page's own address comes back.
const refused = document.querySelector("[data-page]");
if (refused) history.replaceState(null, "", refused.dataset.page);

const root = document.documentElement;
const pause = document.getElementById("pause");
let stream = null;
let paused = false;

// A part with a focused field or a checked box is not replaced.
function inUse(part) {
  const active = document.activeElement;
  const editing = active && part.contains(active) && active.matches("input, select, textarea");
  return editing || part.querySelector("input[type=checkbox]:checked") !== null;
}

function swap(id, markup) {
  const part = document.getElementById(id);
  if (!part || inUse(part)) return;
  const open = [...part.querySelectorAll("details")].map((one) => one.open);
  const active = document.activeElement;
  const href = part.contains(active) ? active.getAttribute("href") : null;
  part.innerHTML = markup;
  part.querySelectorAll("details").forEach((one, at) => { one.open = open[at] ?? one.open; });
  if (href) part.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus();
}

function listen() {
  const address = location.pathname + (location.search ? location.search + "&" : "?") + "live=1";
  stream = new EventSource(address);
  stream.addEventListener("open", () => { root.dataset.live = "on"; });
  stream.addEventListener("part", (event) => {
    const { id, html } = JSON.parse(event.data);
    swap(id, html);
    root.dataset.seen = String(Number(root.dataset.seen || 0) + 1);
  });
  stream.addEventListener("over", () => { stream.close(); location.reload(); });
  stream.addEventListener("error", () => { root.dataset.live = "off"; });
}

function toggle() {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? pause.dataset.off : pause.dataset.on;
  if (paused) { stream?.close(); root.dataset.live = "paused"; } else listen();
}

if (pause && document.querySelector("[data-live]:not(html)")) {
  pause.hidden = false;
  pause.addEventListener("click", toggle);
  listen();
}

// A page that is left closes its stream.
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => { if (event.persisted && stream && !paused) listen(); });

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
