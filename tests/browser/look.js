// What a page shows: boxes that are empty, texts of a figure that lie over one another, text too faint to read.
(() => {
  const box = element => {
    const r = element.getBoundingClientRect();
    return { left: r.left, top: r.top, right: r.right, bottom: r.bottom };
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const short = element => element.outerHTML.slice(0, 80);
  const empty = all("h1, h2, table, th, figure, figure svg, figcaption, li, dt, dd").filter(element => {
    const b = box(element);
    return b.right - b.left < 4 || b.bottom - b.top < 4;
  });

  const overlaps = [];
  for (const svg of all("figure svg")) {
    const own = box(svg);
    const texts = all("text", svg).map(text => [text.textContent.trim(), box(text)]);
    texts.forEach(([name, a], i) => {
      if (a.left < own.left - 2 || a.top < own.top - 2 || a.right > own.right + 2 || a.bottom > own.bottom + 2) {
        overlaps.push(["outside", name]);
      }
      for (const [other, b] of texts.slice(i + 1)) {
        const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (width > 1 && height > 2) overlaps.push([name, other]);
      }
    });
  }

  // Contrast as WCAG has it; colours come as rgb(0 to 255) or color(srgb 0 to 1 / alpha).
  const channels = colour => {
    const numbers = colour.match(/[\d.]+/g).map(Number);
    const mixed = colour.startsWith("color(");
    return { rgb: numbers.slice(0, 3).map(v => (mixed ? v : v / 255)), alpha: numbers[3] ?? 1 };
  };
  const page = channels(getComputedStyle(document.body).backgroundColor).rgb;
  const light = rgb => {
    const [r, g, b] = rgb.map(v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = element => {
    const { rgb, alpha } = channels(getComputedStyle(element).color);
    const front = light(rgb.map((v, k) => alpha * v + (1 - alpha) * page[k]));
    return (Math.max(front, light(page)) + 0.05) / (Math.min(front, light(page)) + 0.05);
  };
  const faint = all("h1 strong, h1 span, h2, td, th, li, dt, dd, figcaption, .quiet").filter(e => contrast(e) < 4.5);

  const figures = all("figure svg");
  return {
    empty: empty.map(short),
    overlaps,
    faint: faint.map(short),
    tables: all("table").length,
    figures: figures.length,
    texts: all("figure svg text").length,
    named: figures.every(svg => document.getElementById(svg.getAttribute("aria-labelledby"))),
    width: document.documentElement.scrollWidth,
  };
})()
