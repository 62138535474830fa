// A question's words: a text, or { html } that the server has made of its marks and sieved.
export function renderText(node, words, before = "", after = "") {
  if (typeof words === "string") {
    node.textContent = `${before}${words}${after}`;
    return;
  }
  node.innerHTML = words.html;
  node.prepend(before);
  node.append(after);
}

// Pictures are fetched while there is a network, so that their questions can be answered without.
export function preloadPictures(questions) {
  const parts = questions.flatMap((one) => [
    one.case,
    one.stem,
    one.explanation,
    ...one.options.map(([, words]) => words),
  ]);
  for (const { html } of parts.filter((one) => one?.html)) {
    for (const [, address] of html.matchAll(/<img[^>]* src="([^"]+)"/g)) new Image().src = address;
  }
}
