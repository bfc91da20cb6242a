// Filters the contents and the page by what is typed. Without a script the contents are a plain list.
"use strict";
const form = document.querySelector("form[role=search]");
const field = document.querySelector("#search");
const found = document.querySelector("#found");
const links = [...document.querySelectorAll(".contents li")];
const items = [...document.querySelectorAll("[data-item]")];
const texts = new Map(items.map((item) => [item, item.textContent.toLowerCase()]));

function filter() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = new Set();
  for (const [item, text] of texts) {
    const fits = words.every((word) => text.includes(word));
    item.hidden = !fits;
    const details = item.nextElementSibling;
    if (item.tagName === "DT" && details) details.hidden = !fits;
    if (fits) shown.add(item.id || item.querySelector("[id]")?.id);
  }
  for (const link of links) link.hidden = !shown.has(link.querySelector("a").hash.slice(1));
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = words.length > 0 && !group.querySelector("[data-item]:not([hidden])");
  }
  found.textContent = words.length ? `${shown.size} found` : "";
}

form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
field.addEventListener("input", filter);
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === field) return;
  event.preventDefault();
  field.focus();
});
// A link to something that is filtered away shows it.
addEventListener("hashchange", () => {
  if (document.getElementById(location.hash.slice(1))?.closest("[hidden]")) {
    field.value = "";
    filter();
    document.getElementById(location.hash.slice(1)).scrollIntoView();
  }
});
if (matchMedia("(max-width: 62rem)").matches) document.querySelector(".contents details").open = false;
