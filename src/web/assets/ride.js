"use strict";
// Live seats, the sum of a choice, the countdown, and tickets without a network. Pages work without it.
(() => {
  const clock = Date.now() - Number(document.documentElement.dataset.now); // ours is ahead by this, ms

  // The seats of a bus, and those that are chosen.
  const bus = document.querySelector("[data-live-seats]");
  const said = document.getElementById("said");
  const sum = document.getElementById("sum");
  const boxes = () => [...bus.querySelectorAll("input[name=seats]")];
  const count = () => {
    const chosen = boxes().filter((box) => box.checked);
    sum.hidden = chosen.length === 0;
    // Amounts have at most four decimals; whole numbers add up exactly.
    const places = Math.max(0, ...chosen.map((box) => (box.dataset.price.split(".")[1] || "").length));
    const total = chosen.reduce((all, box) => all + Math.round(Number(box.dataset.price) * 10 ** places), 0);
    const seats = chosen.length === 1 ? sum.dataset.one : sum.dataset.words.replace("{n}", chosen.length);
    sum.textContent = `${seats}, ${(total / 10 ** places).toFixed(places)} ${sum.dataset.currency}`;
  };
  // Shows a seat's state. Says whether a chosen one was lost.
  const set = ({ seat, state }) => {
    const box = boxes().find((one) => one.value === seat);
    if (!box || box.closest(".mine")) return false;
    const free = state === "free";
    const lost = !free && box.checked;
    if (lost) box.checked = false;
    box.disabled = !free;
    box.closest("label").querySelector(".state").textContent = `, ${free ? bus.dataset.free : bus.dataset.taken}`;
    return lost;
  };
  if (bus && sum) {
    bus.addEventListener("change", count);
    count();
    let stream;
    const open = () => {
      stream = new EventSource(bus.dataset.liveSeats);
      const take = (event) => {
        const news = JSON.parse(event.data);
        const lost = (news.seats || news.changed).filter(set);
        if (lost.length) said.textContent = lost.map(({ seat }) => bus.dataset.lost.replace("{seat}", seat)).join(" ");
        count();
      };
      stream.addEventListener("snapshot", take);
      stream.addEventListener("seats", take);
    };
    // A page that nobody looks at takes no stream.
    const follow = () => {
      if (document.hidden) { stream?.close(); stream = undefined; } else if (!stream) open();
    };
    document.addEventListener("visibilitychange", follow);
    addEventListener("pagehide", () => { stream?.close(); stream = undefined; });
    addEventListener("pageshow", follow);
    follow();
  }

  // The countdown, by the server's clock.
  const timer = document.querySelector("[data-until]");
  if (timer) {
    const tick = () => {
      const left = Math.ceil((Number(timer.dataset.until) - (Date.now() - clock)) / 1000);
      if (left <= 0) {
        timer.textContent = timer.dataset.over;
        setTimeout(() => location.replace(timer.dataset.then), 1500);
        return;
      }
      const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      timer.textContent = timer.dataset.words.replace("{time}", time);
      setTimeout(tick, 250);
    };
    tick();
  }

  // What changes without its rider is looked at until it is settled. The forms stay as they are until the
  // order's state is another, so that nobody loses what he types.
  const order = document.getElementById("order");
  let rounds = 0;
  const look = async () => {
    const answer = await fetch(order.dataset.look).catch(() => undefined);
    if (answer?.ok) {
      const now = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("order");
      if (!now) return;
      const put = (part) => order.querySelector(part).replaceChildren(...now.querySelector(part).childNodes);
      if (order.querySelector("#news").textContent !== now.querySelector("#news").textContent) put("#news");
      if (order.dataset.state !== now.dataset.state) put("#rest");
      order.dataset.state = now.dataset.state;
      if (!now.dataset.look) return;
    }
    if (++rounds < 600) setTimeout(look, Math.min(1000 + rounds * 100, 10000));
  };
  if (order?.dataset.look) setTimeout(look, 1000);

  // Tickets are kept for when there is no network.
  if ("serviceWorker" in navigator) {
    navigator.serviceWorker.register("/ride/worker.js", { scope: "/ride" }).catch(() => undefined);
  }
})();
