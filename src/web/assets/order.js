"use strict";
// The page of an order: the countdown, and what changes without its rider. The page works without it.
(() => {
  const order = document.getElementById("order");
  const part = (of, name) => of.querySelector(name);

  // The countdown, by the server's clock.
  const clock = Date.now() - Number(document.documentElement.dataset.now); // ours is ahead by this, ms
  let over = false;
  const tick = () => {
    const timer = part(order, "[data-until]");
    if (!timer || over) return;
    const left = Math.ceil((Number(timer.dataset.until) - (Date.now() - clock)) / 1000);
    over = left <= 0;
    const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    timer.textContent = over ? timer.dataset.over : timer.dataset.words.replace("{time}", time);
    if (over) setTimeout(() => location.replace(timer.dataset.then), 1500);
  };
  tick();
  if (part(order, "[data-until]")) setInterval(tick, 250);

  // The server's own page is looked at: soon again while money is on its way, now and then while the bus is
  // ahead, at once when its rider looks at it again. Forms stay as they are until the order's state is
  // another, so that nobody loses what is typed.
  const MOST = 600; // looks at one state
  let rounds = 0, waiting, looking = false;
  const later = () => {
    clearTimeout(waiting);
    if (!order.dataset.look || !order.isConnected || document.hidden || rounds++ >= MOST) return;
    waiting = setTimeout(look, Math.max(Number(order.dataset.pause), Math.min(900 + rounds * 100, 10000)));
  };
  const look = async () => {
    if (looking || !order.isConnected) return;
    looking = true;
    const answer = await fetch(order.dataset.look, { signal: AbortSignal.timeout?.(15000) }).catch(() => undefined);
    looking = false;
    // The session has ended, perhaps in another tab.
    if (answer?.redirected) return location.replace(answer.url);
    const text = answer?.ok ? await answer.text() : "";
    const now = new DOMParser().parseFromString(text, "text/html").getElementById("order");
    if (now) show(now);
    later();
  };
  const show = (now) => {
    const put = (name) => part(order, name).replaceChildren(...part(now, name).childNodes);
    const news = part(order, "#news");
    if (news.textContent !== part(now, "#news").textContent) put("#news");
    if (order.dataset.state !== now.dataset.state) {
      const was = document.activeElement;
      const goes = part(order, "#rest").contains(was);
      put("#rest");
      part(document, "h1").textContent = part(now.ownerDocument, "h1").textContent;
      if (goes) (news.textContent ? news : document.getElementById("main")).focus();
      rounds = 0;
    }
    for (const name of ["state", "look", "pause"]) {
      if (name in now.dataset) order.dataset[name] = now.dataset[name]; else delete order.dataset[name];
    }
  };
  document.addEventListener("visibilitychange", () => {
    rounds = 0;
    if (order.dataset.look && !document.hidden) look();
  });
  later();
})();
