// A list as a sheet: how many rows are chosen, the shown rows copied as a table that Excel takes,
// menus. The page works without all of it.
const table = document.querySelector("[data-listing]");
const bar = document.querySelector("[data-selection]");
const viewBox = document.querySelector("[data-select-view]");
const rowBoxes = [...(table?.querySelectorAll("tbody input[name=record]") ?? [])];

function showSelection() {
  const isWholeView = viewBox?.checked ?? false;
  for (const box of rowBoxes) box.disabled = isWholeView;
  const chosen = rowBoxes.filter((box) => box.checked).length;
  const label = viewBox?.closest("label").textContent.trim();
  const selected = isWholeView ? label : `${chosen}${bar.dataset.unit}`;
  bar.querySelector("[data-selection-count]").textContent = `已选${selected}`;
  const noticeButton = bar.querySelector("[data-notice-button]");
  if (noticeButton) noticeButton.textContent = isWholeView ? "发通知给全部符合条件的" : `发通知给已选的${selected}`;
}

if (bar) {
  for (const box of [...rowBoxes, viewBox, ...table.querySelectorAll("[data-toggle-all]")])
    box?.addEventListener("change", showSelection);
  window.addEventListener("pageshow", showSelection);
  showSelection();
}

// Excel reads a cell that begins like a formula as text when an apostrophe stands before it.
const cellText = (cell) => cell.textContent.replace(/\s+/g, " ").trim().replace(/^[=+\-@]/, "'$&");
const isData = (cell) => !cell.matches(".checkbox-column, .actions-column, .d-print-none, .empty-row");
const headingText = (cell) => cell.textContent.replace(/[▲▼↕\s]/g, "");
const escapeMarkup = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

// The table that is shown by now: a page that keeps itself fresh has another one than at first.
function tableRows() {
  const [head, ...body] = [...document.querySelector("[data-listing]").rows];
  return [
    [...head.cells].filter(isData).map(headingText),
    ...body.map((row) => [...row.cells].filter(isData).map(cellText)),
  ];
}

async function copyRows(rows) {
  const plain = rows.map((cells) => cells.join("\t")).join("\n");
  const markup = rows
    .map((cells) => `<tr>${cells.map((cell) => `<td>${escapeMarkup(cell)}</td>`).join("")}</tr>`)
    .join("");
  try {
    await navigator.clipboard.write([
      new ClipboardItem({
        "text/plain": new Blob([plain], { type: "text/plain" }),
        "text/html": new Blob([`<table>${markup}</table>`], { type: "text/html" }),
      }),
    ]);
    return true;
  } catch {
    return copyBySelecting(plain);
  }
}

// Pages without https have no clipboard to write to.
function copyBySelecting(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}

const copyButton = document.querySelector("[data-copy-table]");
if (copyButton && table) {
  copyButton.disabled = false;
  copyButton.addEventListener("click", async () => {
    const rows = tableRows();
    copyButton.textContent = (await copyRows(rows)) ? `已复制${rows.length - 1}行` : "未能复制，请选中后复制";
    window.setTimeout(() => (copyButton.textContent = "复制表格"), 3000);
  });
}

// A menu is shut by Escape and by a press outside.
const menus = [...document.querySelectorAll(".listing-menu")];
document.addEventListener("click", (event) => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of menus) menu.open = false;
});
