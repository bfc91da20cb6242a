"use strict";
// The seats of a bus, live, and those that are chosen. The page works without it.
(() => {
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
  const take = (event) => {
    const news = JSON.parse(event.data);
    const lost = (news.seats || news.changed).filter(set);
    if (lost.length) said.textContent = lost.map(({ seat }) => bus.dataset.lost.replace("{seat}", seat)).join(" ");
    count();
  };

  // The trip is cancelled: the page becomes what it is for those who open it now. The focus goes to what is
  // said unless it is at something that stays.
  const cancelled = (event) => {
    stop();
    over = true;
    const choice = document.getElementById("choice");
    const news = document.getElementById("news");
    const was = document.activeElement;
    const words = document.getElementById("cancelled").content.cloneNode(true);
    const { message } = JSON.parse(event.data);
    if (message) words.querySelector(".message").textContent = message; else words.querySelector(".message").remove();
    news.replaceChildren(words);
    const stays = was && was !== document.body && !choice.contains(was);
    choice.remove();
    if (!stays) news.focus();
  };

  let stream, over = false;
  const stop = () => { stream?.close(); stream = undefined; };
  // A page that nobody looks at takes no stream.
  const follow = () => {
    if (over) return;
    if (document.hidden) { stop(); return; }
    if (stream) return;
    stream = new EventSource(bus.dataset.liveSeats);
    stream.addEventListener("snapshot", take);
    stream.addEventListener("seats", take);
    stream.addEventListener("cancelled", cancelled);
  };
  bus.addEventListener("change", count);
  count();
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", follow);
  follow();
})();
