// A table or figure that is wider than its frame says that it scrolls.
const frames = [...document.querySelectorAll(".scroll, figure.wide .paper")];
const mark = () => frames.forEach((frame) => {
  frame.parentElement.classList.toggle("overflows", frame.scrollWidth > frame.clientWidth + 1);
});
addEventListener("resize", mark);
document.addEventListener("toggle", mark, true);
mark();
// What a link points into opens; what is printed is open.
const open = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
};
addEventListener("hashchange", open);
open();
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  closed.forEach((part) => { part.open = true; });
});
addEventListener("afterprint", () => closed.forEach((part) => { part.open = false; }));
