'use strict';
// Text from data reaches the page as text nodes and attributes only, never as markup.
(() => {
  const byId = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(byId(id).textContent);
  const SVG = 'http://www.w3.org/2000/svg';
  const PAGE = 24;

  function make(tag, attributes = {}, ...children) {
    const element = attributes.svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name !== 'svg' && value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }
  const svg = (tag, attributes, ...children) => make(tag, {...attributes, svg: true}, ...children);

  function fill(select, options, chosen) {
    select.replaceChildren(...options.map(([value, text]) => {
      const option = make('option', {value}, text);
      option.defaultSelected = option.selected = value === chosen;
      return option;
    }));
  }

  function themes() {
    const root = document.documentElement;
    const set = (name) => name === 'auto' ? root.removeAttribute('data-theme') : root.setAttribute('data-theme', name);
    let kept = null;
    try { kept = localStorage.getItem('theme'); } catch { /* some browsers keep nothing for files */ }
    for (const input of document.querySelectorAll('input[name="theme"]')) {
      if (input.value === kept) input.checked = true;
      if (input.checked) set(input.value);
      input.addEventListener('change', () => {
        set(input.value);
        dispatchEvent(new Event('themechange'));
        try { localStorage.setItem('theme', input.value); } catch { /* as above */ }
      });
    }
  }

  function switches() {
    for (const [id, name] of [['intervals', 'with-intervals'], ['show-truth', 'with-truth']]) {
      const box = byId(id);
      box?.addEventListener('change', () => document.body.classList.toggle(name, box.checked));
    }
  }

  async function unpackLibrary() {
    const packed = Uint8Array.from(atob(byId('plotly').textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
    const script = make('script');
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  // ---- charts ------------------------------------------------------------------------------------------------------

  let printing = false;
  function dark() {
    const chosen = document.documentElement.getAttribute('data-theme');
    return !printing && (chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches);
  }

  const plain = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
  const COLORS = {greedy: '#4477aa', 'ref-nms-b': '#ee6677', 'ref-nms-r': '#aa3377'};
  const OTHERS = ['#228833', '#ccbb44', '#66ccee', '#aa3377', '#bbbbbb'];
  const CONFIG = {displayModeBar: false, responsive: true, scrollZoom: false};
  const LAYOUT = {
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', dragmode: false,
    font: {size: 13, family: getComputedStyle(document.body).fontFamily.replaceAll('"', '')},
    legend: {orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom', itemwidth: 40}, hoverlabel: {align: 'left'},
  };
  LAYOUT.hoverlabel.font = LAYOUT.font;

  function rulePaint(rules) {
    let next = 0;
    const paint = {};
    for (const rule of rules) {
      const family = rule.replace(/-100$/, '');
      const known = paint[family]?.color ?? COLORS[family];
      paint[family] ??= {color: known ?? OTHERS[next++ % OTHERS.length]};
      paint[rule] = {color: paint[family].color, dash: rule === family ? 'solid' : 'dot', symbol: rule === family ? 'circle' : 'square'};
    }
    return paint;
  }

  const channels = (color) => [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  const tinted = (color, alpha) => `rgba(${channels(color).join(',')},${alpha})`;
  // On a dark page dark colours are mixed with white, the darker the more.
  function lifted(color) {
    if (!dark()) return color;
    const [r, g, b] = channels(color);
    const missing = Math.max(0, 0.5 - (0.3 * r + 0.59 * g + 0.11 * b) / 255);
    return `rgb(${[r, g, b].map((c) => Math.round(c + (255 - c) * missing)).join(',')})`;
  }

  function drawCurves(curves) {
    const shown = curves.filter((curve) => curve.split === byId('curve-split').value);
    const paint = rulePaint(curves.map((curve) => curve.rule));
    const bands = [], lines = [], ends = [];
    for (const {rule, kept, recall, low, high} of shown) {
      const {color, dash, symbol} = paint[rule];
      if (low.every((x) => x !== null)) {
        bands.push({x: [...kept, ...kept.toReversed()], y: [...high, ...low.toReversed()], fill: 'toself', mode: 'lines',
                    line: {width: 0}, fillcolor: tinted(color, 0.17), hoverinfo: 'skip', showlegend: false, legendgroup: rule});
      }
      const between = low.map((x, i) => x === null ? '' : ` (${x.toFixed(1)} to ${high[i].toFixed(1)})`);
      lines.push({x: kept, y: recall, mode: 'lines', name: plain(rule), legendgroup: rule, line: {color: lifted(color), dash, width: 2.4},
                  customdata: between.map((text, i) => [i + 1, text]),
                  hovertemplate: `<b>${plain(rule)}</b>, best %{customdata[0]} of each list<br>%{y:.1f} % found%{customdata[1]}<br>%{x:.1f} proposals on average<extra></extra>`});
      ends.push({x: kept.slice(-1), y: recall.slice(-1), mode: 'markers+text', text: [`${recall.at(-1).toFixed(1)} %`], cliponaxis: false,
                 textposition: 'bottom center', marker: {color: lifted(color), symbol, size: 9}, hoverinfo: 'skip', showlegend: false, legendgroup: rule});
    }
    const most = Math.max(...shown.map((curve) => curve.kept.at(-1)));
    Plotly.react('curve-plot', [...bands, ...lines, ...ends], {
      ...LAYOUT, height: 440, margin: {l: 52, r: 26, t: 40, b: 52}, hovermode: 'closest',
      xaxis: {type: 'log', title: {text: byId('curve-plot').clientWidth < 560 ? 'mean proposals (log scale)' : 'proposals per expression, on average (log scale)'}, tickvals: [1, 2, 5, 10, 20, 50, 100, 200],
              range: [-0.03, Math.log10(Math.max(most, 2)) + 0.03], fixedrange: true, zeroline: false},
      yaxis: {title: {text: 'referents found, %'}, fixedrange: true, zeroline: false, rangemode: 'normal'},
    }, CONFIG);
    byId('curve-note').textContent = `${Math.max(...shown.map((curve) => curve.n)).toLocaleString('en')} expressions. ` +
      'Circles and squares: the rules as they are run.';
  }

  function drawBins({bins, binNames}) {
    const dataset = byId('bins-dataset').value;
    const bars = new Map();
    for (const row of bins) {
      if (dataset && row.dataset !== dataset) continue;
      const key = JSON.stringify([row.grounder, row.rule]);
      const sum = bars.get(key) ?? row.counts.map(() => 0);
      bars.set(key, sum.map((count, i) => count + row.counts[i]));
    }
    const narrow = byId('bins-plot').clientWidth < 560;
    const labels = [...bars.keys()].map((key) => JSON.parse(key).map(plain).join(narrow ? '<br>' : ' · '));
    const counts = [...bars.values()];
    const all = counts.map((row) => row.reduce((a, b) => a + b, 0));
    const traces = binNames.map(({title, color}, i) => ({
      type: 'bar', orientation: 'h', name: plain(title), title, y: labels, x: counts.map((row, k) => 100 * row[i] / all[k]),
      customdata: counts.map((row, k) => [row[i], all[k]]), marker: {color: lifted(color)}, width: 0.72,
      hovertemplate: `<b>${plain(title)}</b><br>%{y}<br>%{customdata[0]:,} of %{customdata[1]:,} expressions, %{x:.1f} %<extra></extra>`,
    })).filter((trace, i) => i > 0 && trace.customdata.some(([count]) => count > 0));
    const wrong = counts.map((row, k) => 100 * (all[k] - row[0]) / all[k]);
    traces.push({type: 'scatter', mode: 'text', x: wrong, y: labels, text: wrong.map((x) => `\u00a0${x.toFixed(1)} %`), textposition: 'middle right',
                 hoverinfo: 'skip', cliponaxis: false});
    byId('bins-legend').replaceChildren(...traces.slice(0, -1).map((trace, i) => make('li', {}, make('i', {
      class: 'chip', style: `background: ${trace.marker.color}`}), trace.title)));
    Plotly.react('bins-plot', traces, {
      ...LAYOUT, barmode: 'stack', height: 76 + 40 * labels.length, font: {...LAYOUT.font, size: narrow ? 12 : 13},
      margin: {l: 10, r: 62, t: 8, b: 48}, hovermode: 'closest', showlegend: false,
      xaxis: {title: {text: 'wrong, % of the expressions'}, fixedrange: true, zeroline: false, rangemode: 'tozero'},
      yaxis: {autorange: 'reversed', automargin: true, fixedrange: true, ticks: 'outside', ticklen: 6, tickcolor: 'rgba(0,0,0,0)'},
    }, CONFIG);
  }

  function drawHeadroom({headroom, headroomSteps}) {
    const [dataset, grounder] = JSON.parse(byId('headroom-of').value);
    const mine = headroom.filter((one) => one.dataset === dataset && one.grounder === grounder);
    const some = headroomSteps.filter((title) => mine.some((one) => one.steps.some((step) => step.title === title)));
    const bars = mine.flatMap((one) => {  // every rule has every step, so that they stand in their order
      let left = 100;
      return some.map((title) => {
        const step = one.steps.find((other) => other.title === title) ?? {title, left, points: 0, expressions: 0, color: '#808080'};
        left = step.left;
        return {...step, rule: plain(one.rule), step: plain(title), n: one.n};
      });
    });
    const narrow = byId('headroom-plot').clientWidth < 560;
    Plotly.react('headroom-plot', [
      {type: 'bar', orientation: 'h', y: [bars.map((bar) => bar.rule), bars.map((bar) => bar.step)], x: bars.map((bar) => bar.points),
       base: bars.map((bar) => bar.left), marker: {color: bars.map((bar) => lifted(bar.color))}, width: 0.7,
       text: bars.map((bar) => bar.points.toFixed(1)), textposition: 'outside', cliponaxis: false,
       customdata: bars.map((bar) => [bar.expressions, bar.n, bar.onward === undefined || bar.onward === null ? '' :
         `<br>if it alone were mended: ${bar.best.toFixed(1)} % at best, ${bar.onward.toFixed(1)} % as the others go on`]),
       hovertemplate: '<b>%{y}</b><br>%{customdata[0]:,} of %{customdata[1]:,} expressions, %{x:.2f} points%{customdata[2]}<extra></extra>'},
    ], {
      ...LAYOUT, height: 70 + 30 * bars.length, font: {...LAYOUT.font, size: narrow ? 11 : 13}, showlegend: false,
      margin: {l: 10, r: 40, t: 8, b: 48}, hovermode: 'closest',
      xaxis: {title: {text: '% of the expressions'}, range: [0, 104], fixedrange: true, zeroline: false},
      yaxis: {autorange: 'reversed', automargin: true, fixedrange: true, type: 'multicategory', dividercolor: 'rgba(128,128,128,.4)'},
    }, CONFIG);
  }

  function charts(figures) {
    const drawn = [];
    if (byId('headroom-plot')) {
      const found = new Map(figures.headroom.map((one) => [JSON.stringify([one.dataset, one.grounder]), `${one.grounder} on ${one.dataset}`]));
      fill(byId('headroom-of'), [...found], [...found.keys()][0]);
      drawn.push([byId('headroom-of'), () => drawHeadroom(figures)]);
    }
    if (byId('curve-plot')) {
      const splits = [...new Set(figures.curves.map((curve) => curve.split))];
      fill(byId('curve-split'), splits.map((split) => [split, split]), splits.find((split) => split.endsWith(' testB')) ?? splits[0]);
      drawn.push([byId('curve-split'), () => drawCurves(figures.curves)]);
    }
    if (byId('bins-plot')) {
      const datasets = [...new Set(figures.bins.map((row) => row.dataset))];
      const all = datasets.length > 1 ? [['', 'all together']] : [];
      fill(byId('bins-dataset'), [...all, ...datasets.map((name) => [name, name])], all.length ? '' : datasets[0]);
      drawn.push([byId('bins-dataset'), () => drawBins(figures)]);
    }
    for (const [select, draw] of drawn) {
      select.addEventListener('change', draw);
      draw();
    }
    const redraw = () => drawn.forEach(([, draw]) => draw());
    addEventListener('themechange', redraw);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
    const notes = [...document.querySelectorAll('details.notes')];
    addEventListener('beforeprint', () => {
      printing = true;
      notes.forEach((note) => { note.dataset.was = note.open; note.open = true; });
      redraw();
      document.querySelectorAll('.js-plotly-plot').forEach((plot) => Plotly.relayout(plot, {width: 690}));
    });
    addEventListener('afterprint', () => {
      printing = false;
      notes.forEach((note) => { note.open = note.dataset.was === 'true'; });
      redraw();
    });
  }

  // ---- gallery -----------------------------------------------------------------------------------------------------

  function gallery(data, bins) {
    const n = data.sent.length;
    const lower = data.sent.map((sent) => sent.toLowerCase());
    const rules = Object.keys(data.found);
    const grounders = Object.keys(data.answers);
    const [plainRule, otherRule] = data.rules;
    const controls = Object.fromEntries(['search', 'f-split', 'f-grounder', 'f-left', 'f-right', 'f-bin', 'f-change', 'f-sort', 'f-picture']
      .map((id) => [id.replace('f-', ''), byId(id)]));
    let page = 0, view = [];

    const binTitle = (code) => bins[parseInt(code, 36)]?.title ?? '';
    const ruleOptions = rules.map((rule) => [rule, rule]);
    fill(controls.split, [['', 'all'], ...data.splits.map((name, i) => [String(i), name])], '');
    fill(controls.grounder, [...grounders.map((name) => [name, name]), ['', 'none: proposals alone']], data.grounder ?? grounders[0] ?? '');
    fill(controls.left, ruleOptions, otherRule ?? plainRule);
    fill(controls.right, [['', 'nothing'], ...ruleOptions], otherRule ? plainRule : '');
    fill(controls.sort, [['', 'as in the data'], ['high', 'confidence, high first'], ['low', 'confidence, low first']], '');

    // What one rule made of every expression, for the chosen grounder or without one.
    function outcome(rule) {
      const answers = data.answers[controls.grounder.value]?.[rule];
      if (controls.grounder.value) {
        return answers && {right: answers.right, bin: answers.bin, iou: answers.iou, score: answers.score, box: answers.box, grounded: true};
      }
      return {right: data.found[rule], bin: data.found[rule], iou: null, score: data.top?.[rule], box: null, grounded: false};
    }

    function refill() {
      const codes = controls.grounder.value
        ? bins.map((bin, i) => [i.toString(36), bin.title]).filter(([code]) => rules.some((rule) => outcome(rule)?.bin.includes(code)))
        : [['1', 'referent proposed'], ['0', 'referent not proposed']];
      const {left, right} = {left: controls.left.value, right: controls.right.value};
      const before = [controls.bin.value, controls.change.value];
      fill(controls.bin, [['', 'any'], ...codes], codes.some(([code]) => code === before[0]) ? before[0] : '');
      const changes = right && right !== left
        ? [['', 'all'], ['changed', 'changed between rules'], ['won', `right on ${left} only`], ['lost', `right on ${right} only`]] : [['', 'all']];
      fill(controls.change, changes, changes.some(([value]) => value === before[1]) ? before[1] : '');
    }

    function update() {
      const words = controls.search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const split = controls.split.value === '' ? null : Number(controls.split.value);
      const mine = outcome(controls.left.value), other = controls.right.value ? outcome(controls.right.value) : null;
      const bin = controls.bin.value, change = controls.change.value, pictured = controls.picture.checked;
      view = [];
      for (let i = 0; i < n; i++) {
        if (pictured && data.thumb[i] === null) continue;
        if (split !== null && data.split[i] !== split) continue;
        if (bin && mine?.bin[i] !== bin) continue;
        if (change) {
          const a = mine?.right[i] ?? '-', b = other?.right[i] ?? '-';
          if (a === '-' || b === '-' || a === b || (change === 'won' && a !== '1') || (change === 'lost' && a !== '0')) continue;
        }
        if (!words.every((word) => lower[i].includes(word))) continue;
        view.push(i);
      }
      if (controls.sort.value && mine?.score) {
        const sign = controls.sort.value === 'high' ? -1 : 1;
        view.sort((a, b) => {
          const x = mine.score[a], y = mine.score[b];
          return x === null || y === null ? (x === null) - (y === null) || a - b : sign * (x - y) || a - b;
        });
      }
      page = 0;
      show();
    }

    function show() {
      const first = page * PAGE, shown = view.slice(first, first + PAGE);
      byId('count').textContent = view.length
        ? `${(first + 1).toLocaleString('en')}–${(first + shown.length).toLocaleString('en')} of ${view.length.toLocaleString('en')} expressions`
        : 'No expression is like that.';
      byId('previous').disabled = byId('previous-below').disabled = page === 0;
      byId('next').disabled = byId('next-below').disabled = first + PAGE >= view.length;
      const order = [controls.left.value, controls.right.value].filter((rule, i, all) => rule && all.indexOf(rule) === i)
        .sort((a, b) => (a === otherRule) - (b === otherRule) || rules.indexOf(a) - rules.indexOf(b));
      byId('cards').replaceChildren(...shown.map((i) => card(i, order)));
    }

    function sentence(i, order) {
      const words = data.sent[i].split(/\s+/).filter(Boolean);
      const attending = [...order.toReversed(), ...Object.keys(data.attention ?? {})].find((rule) => data.attention?.[rule]?.[i]);
      const weights = attending ? data.attention[attending][i] : [];
      if (weights.length !== words.length) return {content: [data.sent[i]], attending: null};
      const content = words.flatMap((word, k) => [k ? ' ' : '', make('span', {
        class: 'word', style: `--weight: ${(0.9 * weights[k] / 100).toFixed(3)}`, title: `attention of ${attending}: ${weights[k]} %`}, word)]);
      return {content, attending};
    }

    function card(i, order) {
      const {content} = sentence(i, order);
      return make('article', {class: 'card', 'data-index': i},
        make('h3', {}, ...content),
        make('p', {class: 'meta'}, `${data.splits[data.split[i]]} · image ${data.image[i]} · expression ${data.id[i]}`),
        make('div', {class: order.length > 1 ? 'panels' : 'panels one'}, ...order.map((rule) => panel(i, rule))));
    }

    function panel(i, rule) {
      const mine = outcome(rule);
      const right = mine?.right?.[i] ?? '-';
      const [mark, kind] = right === '1' ? ['✓', 'yes'] : right === '0' ? ['✗', 'no'] : ['–', 'none'];
      const verdict = right === '-' ? 'not run' : mine.grounded ? binTitle(mine.bin[i]) : right === '1' ? 'referent proposed' : 'referent not proposed';
      const told = [];
      const kept = data.kept?.[rule]?.[i];
      if (kept !== null && kept !== undefined) told.push(`${kept} proposal${kept === 1 ? '' : 's'}`);
      if (mine?.iou && mine.iou[i] !== null) told.push(`IoU ${mine.iou[i].toFixed(2)}`);
      if (mine?.score && mine.score[i] !== null) told.push(`${mine.grounded ? 'score' : 'confidence'} ${mine.score[i].toPrecision(3)}`);
      const figure = make('figure', {class: 'panel'},
        make('figcaption', {}, make('span', {class: 'verdict'}, make('span', {class: `mark ${kind}`}, mark), rule)));
      if (data.thumb[i] !== null) figure.append(picture(i, rule, mine));
      figure.append(make('p', {class: 'told'}, verdict), make('p', {class: 'told'}, told.join(' · ')));
      return figure;
    }

    function picture(i, rule, mine) {
      const [width, height, source] = data.thumbs[data.thumb[i]];
      const [boxes, hits] = data.drawn?.[rule]?.[i] ?? [[], ''];
      const drawn = svg('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img',
        'aria-label': `${hits.length} proposals of ${rule}, ${[...hits].filter((hit) => hit === 'r').length} on the referent`},
        svg('image', {href: source, width, height, preserveAspectRatio: 'none'}));
      const box = ([x, y, w, h], kind) => svg('rect', {x, y, width: Math.max(w, 0), height: Math.max(h, 0), class: `box ${kind}`});
      for (const [letter, kind] of [['-', 'o'], ['c', 'c'], ['r', 'r']]) {
        [...hits].forEach((hit, k) => { if (hit === letter) drawn.append(box(boxes.slice(4 * k, 4 * k + 4), kind)); });
      }
      const chosen = mine?.box?.[i];
      if (chosen) drawn.append(box(chosen, 'halo'), box(chosen, 'chosen'));
      if (data.truth[i]) drawn.append(box(data.truth[i], 'truth'));
      return drawn;
    }

    const turn = (step) => () => {
      page += step;
      show();
      byId('gallery').querySelector('.pager').scrollIntoView({block: 'start'});
    };
    for (const end of ['', '-below']) {
      byId(`previous${end}`).addEventListener('click', turn(-1));
      byId(`next${end}`).addEventListener('click', turn(1));
    }
    byId('filters').addEventListener('submit', (event) => event.preventDefault());
    byId('filters').addEventListener('reset', () => setTimeout(() => { refill(); update(); }));
    byId('search').addEventListener('input', update);
    byId('filters').addEventListener('change', ({target}) => {
      if (target.id === 'search') return;
      if (['f-grounder', 'f-left', 'f-right'].includes(target.id)) refill();
      update();
    });
    refill();
    update();
  }

  themes();
  switches();
  const figures = read('figures'), data = read('data');
  if (data.sent) gallery(data, figures.binNames);
  if (figures.curves.length || figures.bins.length || figures.headroom.length) {
    unpackLibrary().then(() => charts(figures)).catch((error) => {
      for (const plot of document.querySelectorAll('.plot')) plot.textContent = `The chart can't be drawn here: ${error.message}`;
    }).finally(() => document.documentElement.setAttribute('data-ready', ''));
  } else {
    document.documentElement.setAttribute('data-ready', '');
  }
})();
