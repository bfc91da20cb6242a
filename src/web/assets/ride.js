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
    sum.textContent = `${sum.dataset.words.replace("{n}", chosen.length)}, ${(total / 10 ** places).toFixed(places)} ${sum.dataset.currency}`;
  };
  const set = ({ seat, state }) => {
    const box = boxes().find((one) => one.value === seat);
    if (!box || box.closest(".mine")) return;
    const free = state === "free";
    if (!free && box.checked) {
      box.checked = false;
      said.textContent = bus.dataset.lost.replace("{seat}", seat);
    }
    box.disabled = !free;
    box.closest("label").querySelector(".state").textContent = `, ${free ? bus.dataset.free : bus.dataset.taken}`;
  };
  if (bus && sum) {
    bus.addEventListener("change", count);
    count();
    let stream;
    const open = () => {
      stream = new EventSource(bus.dataset.liveSeats);
      const take = (event) => {
        const news = JSON.parse(event.data);
        (news.seats || news.changed).forEach(set);
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
        setTimeout(() => location.reload(), 1500);
        return;
      }
      const time = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      timer.textContent = timer.dataset.words.replace("{time}", time);
      setTimeout(tick, 250);
    };
    tick();
  }

  // What is on its way back, or being paid, is looked at again until it is settled.
  const order = document.getElementById("order");
  const pending = (part) => part && (part.dataset.owed || ["paying", "refunding"].includes(part.dataset.status));
  if (pending(order)) {
    let rounds = 0;
    const look = async () => {
      const answer = await fetch(location.href).catch(() => undefined);
      if (answer?.ok) {
        const now = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("order");
        if (now) order.replaceChildren(...now.childNodes);
        if (!pending(now)) return;
      }
      if (++rounds < 600) setTimeout(look, Math.min(1000 + rounds * 100, 10000));
    };
    setTimeout(look, 1000);
  }

  // Tickets are kept for when there is no network.
  if ("serviceWorker" in navigator) {
    navigator.serviceWorker.register("/ride/worker.js", { scope: "/ride" }).catch(() => undefined);
  }
})();
