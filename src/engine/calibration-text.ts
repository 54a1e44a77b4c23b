// What a model reads when bits are spent and no text is given: prose, dialogue, lists, code and numbers, in a few languages. Written for
// this, so that it is in nobody's training data more often than in another's.

export const calibrationText = `The ferry left the harbour at a quarter past seven, and for the first hour nobody on deck said much. A boy counted the gulls
that followed the ship; his grandmother, who had crossed this water every autumn for forty years, slept with her hat over her eyes. When the wind turned, the
captain asked everyone to come inside, where it smelled of coffee and wet wool.

"How far is it to the island?" the boy asked.
"About thirty miles," she said without opening her eyes. "You can tell by the colour of the sea. Green means we are near."

To make bread for four people you need 500 grams of flour, 320 millilitres of water, 10 grams of salt and 3 grams of dried yeast. Mix everything, wait twenty
minutes, fold the dough three times, and let it rise until it has doubled. Bake it at 230 degrees for about half an hour. If the crust gets too dark, cover it
with foil. The loaf is done when it sounds hollow.

Photosynthesis turns light into chemical energy. In the leaves of a plant, chlorophyll absorbs red and blue light and reflects green, which is why leaves look
green to us. Water is split, oxygen is released, and carbon dioxide becomes sugar. Without this process there would be almost no oxygen in the air.

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

Question: A train travels 180 kilometres in two and a half hours. What is its average speed?
Answer: Divide the distance by the time: 180 / 2.5 = 72. The average speed is 72 kilometres per hour.

Am Abend saßen sie auf der Bank vor dem Haus und hörten den Grillen zu. Niemand hatte es eilig, denn der nächste Zug fuhr erst am Morgen. Le lendemain, ils ont
pris le petit déjeuner sur la terrasse, puis ils sont partis à pied vers le village. La tienda de la plaza vendía naranjas, pan y periódicos.

1. Read the instructions before you start.
2. Check that all parts are in the box.
3. Tighten the screws by hand first, then with the tool.
4. Call the number on the label if anything is missing.
`;
