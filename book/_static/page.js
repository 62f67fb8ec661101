// Equations that are too wide get smaller, down to what can still be read; what scrolls even so, and all else that
// scrolls sideways, can be reached by the keyboard.
const SMALLEST = 0.6

function fit() {
  for (const box of document.querySelectorAll('article mjx-container[display="true"]')) {
    box.style.fontSize = ""
    const share = box.clientWidth / box.scrollWidth
    if (share < 1) box.style.fontSize = `${parseFloat(getComputedStyle(box).fontSize) * Math.max(0.98 * share, SMALLEST)}px`
  }
  for (const box of document.querySelectorAll("article :is(.scrolls, pre, mjx-container, .math)")) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1
    if (scrolls && getComputedStyle(box).overflowX !== "visible") box.tabIndex = 0
    else if (!box.matches("mjx-container")) box.removeAttribute("tabindex")
  }
}

addEventListener("load", () => (window.MathJax?.startup?.promise ?? Promise.resolve()).then(fit))
addEventListener("resize", fit)
// A term's tip is the glossary's entry, taken out of its list, without links that nobody could reach.
addEventListener("DOMContentLoaded", () =>
  window.tippy?.setDefaultProps({
    onShow(tip) {
      for (const part of tip.popper.querySelectorAll("dt, dd, a")) {
        const plain = document.createElement({ DT: "strong", DD: "div", A: "span" }[part.tagName])
        plain.append(...part.childNodes)
        part.replaceWith(plain)
      }
    },
  })
)
addEventListener("keydown", event => event.key === "Escape" && window.tippy?.hideAll())
