"use strict";
// Every page: tickets are kept for when there is no network, until their rider signs out.
(() => {
  const forget = () => self.caches?.delete("farebox-tickets-1").catch(() => undefined);
  const form = document.querySelector("form[action='/ride/sign-out']");
  let tries = 360; // an hour
  const leave = async (event) => {
    event?.preventDefault();
    // The tickets go first: that needs no network.
    await forget();
    const sent = { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual", signal: AbortSignal.timeout?.(15000) };
    const answer = await fetch(form.action, sent).catch(() => undefined);
    if (answer?.type === "opaqueredirect") return location.assign("/ride");
    if (answer) return form.submit(); // the server says what is wrong
    const title = document.querySelector("h1");
    title.textContent = form.innerText;
    document.getElementById("main").replaceChildren(title);
    const said = document.getElementById("leaving");
    if (!said.textContent) said.textContent = said.dataset.offline;
    if (tries-- > 0) setTimeout(leave, 10000);
  };
  // Who has no session has signed out, here or elsewhere, or the session has ended.
  if (form) form.addEventListener("submit", leave); else forget();

  if ("serviceWorker" in navigator) {
    navigator.serviceWorker.register("/ride/worker.js", { scope: "/ride" }).catch(() => undefined);
  }
})();
