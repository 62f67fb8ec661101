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
