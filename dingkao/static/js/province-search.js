// The province picker narrows down with every key, by the words each province carries, as the server does
// without scripts (registry.found).
const field = document.getElementById("q");
const statusText = document.getElementById("finder-said");
const rows = [...document.querySelectorAll(".province-list [data-search-terms]")];

const normalise = (text) =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]/gu, "");
const matchesInitials = (word, wanted) =>
  /^[a-z]+$/.test(word)
    ? word.startsWith(wanted)
    : word.includes(wanted) || (word.length > 1 && wanted.startsWith(word));

function filterRows() {
  const wanted = normalise(field.value);
  let shown = 0;
  for (const row of rows) {
    row.hidden =
      Boolean(wanted) && !row.dataset.searchTerms.split(" ").some((word) => matchesInitials(word, wanted));
    shown += !row.hidden;
  }
  statusText.textContent = !wanted
    ? ""
    : shown
      ? `找到${shown}个省份。`
      : `没有找到“${field.value.trim()}”。请换一种写法；没有列出的省份尚未开通。`;
}

field.addEventListener("input", filterRows);
field.form.addEventListener("submit", (event) => {
  const left = rows.filter((row) => !row.hidden);
  if (!normalise(field.value) || left.length !== 1) return;
  event.preventDefault();
  left[0].querySelector("a").click();
});
filterRows();
