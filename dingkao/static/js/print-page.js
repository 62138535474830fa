// A page made to be printed opens the browser's dialogue by itself, and once more by its button.
const button = document.querySelector("[data-print-page]");
button.disabled = false;
button.addEventListener("click", () => window.print());
window.addEventListener("load", () => window.print());
