// The keys, and the buttons that copy. It follows console.js in the same script.

// Copies an id. Where the clipboard cannot be used, the id is selected instead.
const COPY_MS = 1000;
const SAID_MS = 4000;
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const { copy, copied, selected } = button.dataset;
  const [id, said] = ["code", "[role=status]"].map((part) => button.parentElement.querySelector(part));
  clearTimeout(said.forget);
  try {
    // A browser that has to ask for leave may never answer.
    await Promise.race([navigator.clipboard.writeText(copy), new Promise((_, late) => setTimeout(late, COPY_MS))]);
    said.textContent = copied;
  } catch {
    id.textContent = copy;
    getSelection().selectAllChildren(id);
    said.textContent = selected;
  }
  said.forget = setTimeout(() => { said.textContent = ""; }, SAID_MS);
});

// Moves the focus to the first link of the row after the focused one, or before it; Enter opens it.
function step(by) {
  const rows = [...document.querySelectorAll("main table:not(.bus) tbody tr")].filter((row) => row.querySelector("a[href]"));
  if (rows.length === 0) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + by, 0), rows.length - 1);
  rows[next].querySelector("a[href]").focus();
}

// The page's first act: a link is opened, a form gets the focus. No key sends a form.
function act() {
  const first = document.querySelector("main .acts :is(a, button):not(:disabled), main form.act :is(input:not([type=hidden]), select, textarea, button):not(:disabled)");
  if (first?.matches("a")) first.click(); else first?.focus();
}

// The keys are shown over the page, which stays where it is, and so does the focus when they go.
const keys = document.getElementById("keys");
let focused = null;

function help(shown) {
  keys.open = shown;
  keys.classList.toggle("over", shown);
  if (shown) { focused = document.activeElement; keys.querySelector("summary").focus({ preventScroll: true }); }
  else focused?.focus({ preventScroll: true });
}

keys.addEventListener("toggle", () => { if (!keys.open) keys.classList.remove("over"); });

const pages = { h: "/console", j: "/console/jobs", q: "/console/queues", b: "/console/bulk", o: "/console/orders",
  t: "/console/trips", r: "/console/riders", a: "/console/audit" };
let going = false;

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input:not([type=checkbox], [type=radio]), select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key;
  const was = going;
  going = false;
  if (was && pages[key]) { location.assign(pages[key]); return; }
  if (key === "g") { going = true; return; }
  if (key === "/") { event.preventDefault(); document.getElementById("q")?.focus(); }
  if (key === "j") step(1);
  if (key === "k") step(-1);
  if (key === "p" && pause && !pause.hidden) toggle();
  if (key === "a") act();
  if (key === "?") help(!keys.classList.contains("over"));
  if (key === "Escape" && keys.classList.contains("over")) help(false);
});
