"use strict";
const video = document.querySelector("video");
const head = document.querySelector(".head");
const cards = [...document.querySelectorAll(".card")];
const ticks = new Map([...document.querySelectorAll(".tick")].map(tick => [tick.dataset.id, tick]));
let shown = -1;

function select(index) {
  if (shown >= 0) [cards[shown], ticks.get(cards[shown].dataset.id)].forEach(part => part?.classList.remove("now"));
  shown = index;
  if (shown >= 0) [cards[shown], ticks.get(cards[shown].dataset.id)].forEach(part => part?.classList.add("now"));
}

function show(index) {
  if (index < 0 || index >= cards.length) return;
  select(index);
  cards[index].focus({ preventScroll: true });
  if (!video) return;
  video.pause();
  video.currentTime = Number(cards[index].dataset.at);
}

document.addEventListener("click", event => {
  const part = event.target.closest(".card, .tick");
  if (!part || !video) return;
  event.preventDefault();
  show(cards.findIndex(card => card.dataset.id === part.dataset.id));
});

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") show(shown + 1);
  else if (event.key === "p") show(shown - 1);
  else if (event.key === " " && video && event.target !== video) video.paused ? video.play() : video.pause();
  else return;
  event.preventDefault();
  cards[shown]?.scrollIntoView({ block: "nearest" });
});

if (video) {
  const length = Number(document.querySelector(".time").dataset.length);
  const follow = () => {
    const x = 1000 * video.currentTime / length;
    head.setAttribute("x1", x);
    head.setAttribute("x2", x);
    if (video.paused) return;
    const now = video.currentTime;
    select(cards.findIndex(card => now >= Number(card.dataset.first) && now <= Number(card.dataset.last)));
  };
  for (const kind of ["timeupdate", "seeked"]) video.addEventListener(kind, follow);
}
