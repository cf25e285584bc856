"use strict";
// Draws the report from the documents embedded in the page. No library, nothing fetched.
// Every figure that is drawn is also in a table. When all is drawn, the root element has
// data-plots, the number of plots; an error has data-error instead.

const root = document.documentElement;
window.addEventListener("error", e => { root.dataset.error = e.message; });

const SVG = "http://www.w3.org/2000/svg";
const LAYERS = ["net", "tcp", "tls", "crypto", "smtp", "policy", "relay"];
const LAYER_COLOUR = { tls: 0, crypto: 1, net: 2, tcp: 3, smtp: 4, relay: 5, policy: 6 };

/* ---- elements ---- */

function el(name, attrs, ...children) {
	const e = document.createElement(name);
	for (const [k, v] of Object.entries(attrs || {})) e.setAttribute(k, v);
	e.append(...children.filter(c => c !== null && c !== undefined));
	return e;
}

function svg(name, attrs, text) {
	const e = document.createElementNS(SVG, name);
	for (const [k, v] of Object.entries(attrs)) e.setAttribute(k, v);
	if (text !== undefined) e.textContent = text;
	return e;
}

/* ---- figures ---- */

// Three significant digits; a whole number, and what is larger than 1000, keeps all of them.
function short(v) {
	if (v === null || v === undefined || !isFinite(v)) return "–";
	const a = Math.abs(v);
	if (a >= 1000 || Number.isInteger(v)) return Math.round(v).toLocaleString("en").replace(/,/g, "\u2009");
	return a >= 1 ? v.toPrecision(3) : v.toPrecision(2);
}

function time(us) {
	if (us === null || us === undefined || !isFinite(us)) return "–";
	if (us >= 1e6) return short(us / 1e6) + " s";
	return us >= 1000 ? short(us / 1000) + " ms" : short(us) + " µs";
}

function bytes(b) {
	if (b === null || b === undefined || !isFinite(b)) return "–";
	if (b >= 1 << 30) return short(b / (1 << 30)) + " GiB";
	return b >= 1 << 20 ? short(b / (1 << 20)) + " MiB" : b >= 1024 ? short(b / 1024) + " KiB" : short(b) + " B";
}

function percent(x) {
	return x === null || x === undefined ? "–" : short(x * 100) + " %";
}

function format(metric, v) {
	return /bytes$/.test(metric) ? bytes(v) : /_us$/.test(metric) ? time(v) : short(v);
}

const median = (r, metric) => r.metrics[metric] ? r.metrics[metric].median : undefined;
const unique = list => [...new Set(list)];

// Round values for an axis that begins at 0: at most five. Bytes are round in their own way.
function ticks(top, metric) {
	if (!(top > 0)) return [0];
	const raw = top / 4, base = /bytes$/.test(metric) ? 2 : 10;
	const power = base ** Math.floor(Math.log(raw) / Math.log(base));
	const step = (base === 2 ? [1, 2] : [1, 2, 2.5, 5, 10]).map(m => m * power).find(s => s >= raw * 0.9999);
	const out = [];
	for (let v = 0; v <= top * 1.0001; v += step) out.push(v);
	return out;
}

function tickText(metric, v) {
	return v === 0 ? "0" : format(metric, v).replace(/\.0+(?=\D|$)|(\.\d*?)0+(?=\D|$)/, "$1");
}

/* ---- plots: drawn for the width they have, and again when that changes ---- */

const plots = [];

function plot(title, sub, draw, legend) {
	const fig = el("figure", {}, el("figcaption", {}, title, sub ? el("small", {}, sub) : null));
	const box = svg("svg", { role: "img", "aria-label": title });
	fig.append(box);
	if (legend && legend.length > 1) {
		fig.append(el("ul", { class: "legend" }, ...legend.map(([name, colour]) =>
			el("li", {}, el("i", { style: `background:${colour}` }), name))));
	}
	plots.push({ fig, box, draw });
	return fig;
}

// On paper, two narrow plots or a wide one fill the page.
function drawAll(paper) {
	for (const p of plots) {
		const w = paper ? (p.fig.parentNode.classList.contains("wide") ? 640 : 320) :
			Math.max(260, Math.floor(p.fig.clientWidth - 34));
		if (w === p.width) continue;
		p.width = w;
		p.box.replaceChildren();
		const h = p.draw(p.box, w);
		p.box.setAttribute("viewBox", `0 0 ${w} ${h}`);
	}
}

function textWidth(s) {
	return s.length * 6.6;
}

// Says whether a label that is centred at x does not touch the one before.
function free(gap) {
	let end = -Infinity;
	return (x, text) => {
		if (x - textWidth(text) / 2 < end) return false;
		end = x + textWidth(text) / 2 + gap;
		return true;
	};
}

// Horizontal bars. rows: {label, parts: [{value, colour}], dots: [{value, disturbed}], goal}
function bars(rows, metric) {
	return (box, w) => {
		const left = Math.min(w * 0.38, Math.max(...rows.map(r => textWidth(r.label))) + 12);
		const right = 68, step = 30, top = 4, bar = 16;
		const total = r => r.parts.reduce((s, p) => s + p.value, 0);
		const most = Math.max(...rows.flatMap(r => [total(r), r.goal || 0, ...r.dots.map(d => d.value)]));
		const x = v => left + v / (most || 1) * (w - left - right);
		const bottom = top + rows.length * step;
		const labels = free(6);
		for (const t of ticks(most, metric)) {
			box.append(svg("line", { class: "grid", x1: x(t), x2: x(t), y1: top, y2: bottom }));
			const text = tickText(metric, t);
			if (labels(x(t), text)) box.append(svg("text", { class: "soft", x: x(t), y: bottom + 16, "text-anchor": "middle" }, text));
		}
		rows.forEach((r, i) => {
			const y = top + i * step + (step - bar) / 2;
			const label = svg("text", { x: left - 8, y: y + bar / 2 + 4, "text-anchor": "end" }, clip(r.label, left - 8));
			label.append(svg("title", {}, r.label));
			box.append(label);
			let at = 0;
			for (const p of r.parts) {
				const rect = svg("rect", { x: x(at), y, width: Math.max(0, x(at + p.value) - x(at)), height: bar,
					fill: p.colour });
				rect.append(svg("title", {}, `${p.name || r.label}: ${format(metric, p.value)}`));
				box.append(rect);
				at += p.value;
			}
			for (const d of r.dots) dot(box, x(d.value), y + bar / 2, d);
			const end = Math.max(at, ...r.dots.map(d => d.value));
			if (r.goal) {
				box.append(svg("line", { class: "goal", x1: x(r.goal), x2: x(r.goal), y1: y - 5, y2: y + bar + 5 }));
			}
			box.append(svg("text", { x: Math.max(x(end), r.goal ? x(r.goal) : 0) + 7, y: y + bar / 2 + 4 },
				format(metric, at)));
		});
		box.append(svg("line", { class: "axis", x1: x(0), x2: x(0), y1: top, y2: bottom }));
		return bottom + 22;
	};
}

function clip(s, room) {
	const n = Math.max(4, Math.floor(room / 6.6));
	return s.length <= n ? s : s.slice(0, n - 1) + "…";
}

function dot(box, x, y, d) {
	const c = svg("circle", { class: d.disturbed ? "dot disturbed" : "dot", cx: x, cy: y, r: 2.6 });
	c.append(svg("title", {}, d.title || ""));
	box.append(c);
}

// Curves over the share of sessions: distance to 100 % shrinks by ten each step.
function percentiles(series) {
	return (box, w) => {
		const left = 58, right = 12, top = 8, h = 250, bottom = top + h;
		const at = p => -Math.log10(1 - Math.min(p, 99.9999) / 100);
		const far = Math.max(2, Math.min(4, Math.max(...series.flatMap(s => s.points).filter(([p]) => p < 100).map(([p]) => at(p)))));
		const points = series.map(s => s.points.filter(([p, v]) => v > 0 && p < 100 && at(p) <= far + 0.01));
		const all = points.flat().map(([, v]) => v);
		let low = Math.floor(Math.log10(Math.min(...all))), high = Math.ceil(Math.log10(Math.max(...all)));
		if (high === low) high++;
		const x = p => left + Math.min(at(p), far) / far * (w - left - right);
		const y = v => bottom - (Math.log10(v) - low) / (high - low) * h;
		for (let d = low; d <= high; d++) {
			box.append(svg("line", { class: "grid", x1: left, x2: w - right, y1: y(10 ** d), y2: y(10 ** d) }));
			box.append(svg("text", { class: "soft", x: left - 8, y: y(10 ** d) + 4, "text-anchor": "end" },
				tickText("_us", 10 ** d)));
		}
		for (const p of [0, 50, 90, 99, 99.9, 99.99].filter(p => at(p) <= far)) {
			box.append(svg("line", { class: "grid", x1: x(p), x2: x(p), y1: top, y2: bottom }));
			box.append(svg("text", { class: "soft", x: x(p), y: bottom + 19, "text-anchor": "middle" },
				p === 0 ? "min" : p + " %"));
		}
		series.forEach((s, i) => {
			const line = points[i].map(([p, v]) => `${x(p).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
			const e = svg("polyline", { points: line, fill: "none", stroke: s.colour, "stroke-width": s.ours ? 2.5 : 1.75,
				"stroke-linejoin": "round", "stroke-dasharray": s.dash || "none" });
			e.append(svg("title", {}, s.name));
			box.append(e);
		});
		return bottom + 24;
	};
}

// A sweep: medians as a line, repetitions as dots.
function sweep(series, metric, point) {
	return (box, w) => {
		const left = 62, right = 14, top = 8, h = 200, bottom = top + h;
		const xs = unique(series.flatMap(s => s.points.map(p => p.x))).sort((a, b) => a - b);
		const log = xs[0] > 0 && xs[xs.length - 1] / xs[0] > 20;
		const place = v => log ? Math.log(v / xs[0]) / Math.log(xs[xs.length - 1] / xs[0]) :
			(v - xs[0]) / ((xs[xs.length - 1] - xs[0]) || 1);
		const most = Math.max(...series.flatMap(s => s.points.flatMap(p => [p.y, ...p.dots.map(d => d.value)])));
		const x = v => left + 8 + place(v) * (w - left - right - 16);
		const y = v => bottom - v / (most || 1) * h;
		for (const t of ticks(most, metric)) {
			box.append(svg("line", { class: "grid", x1: left, x2: w - right, y1: y(t), y2: y(t) }));
			box.append(svg("text", { class: "soft", x: left - 8, y: y(t) + 4, "text-anchor": "end" },
				tickText(metric, t)));
		}
		const labels = free(8);
		for (const v of xs) {
			const text = /^B$|bytes/.test(point.unit || "") ? tickText("bytes", v) : tickText("", v);
			if (labels(x(v), text)) box.append(svg("text", { class: "soft", x: x(v), y: bottom + 17, "text-anchor": "middle" }, text));
		}
		for (const s of series) {
			box.append(svg("polyline", { points: s.points.map(p => `${x(p.x).toFixed(1)},${y(p.y).toFixed(1)}`).join(" "),
				fill: "none", stroke: s.colour, "stroke-width": 2, "stroke-linejoin": "round" }));
			for (const p of s.points) for (const d of p.dots) dot(box, x(p.x), y(d.value), d);
		}
		box.append(svg("line", { class: "axis", x1: left, x2: w - right, y1: bottom, y2: bottom }));
		return bottom + 24;
	};
}

function dots(r, metric) {
	return r.runs.filter(run => Number.isFinite(run.metrics[metric])).map((run, i) => ({
		value: run.metrics[metric],
		disturbed: run.disturbed || run.counted === false,
		title: `repetition ${i + 1}: ${format(metric, run.metrics[metric])}` + (run.why ? ` (${run.why})` : ""),
	}));
}

/* ---- tables ---- */

// head: [{text, cls}] or strings; rows: arrays of strings, nodes, or {text, small, cls}
function table(head, rows, classes) {
	const cell = (name, c) => {
		if (c instanceof Node || typeof c !== "object" || c === null) return el(name, {}, c ?? "–");
		return el(name, c.cls ? { class: c.cls } : {}, c.text, c.small ? el("small", {}, c.small) : null);
	};
	const body = rows.map((r, i) => el("tr", classes && classes[i] ? { class: classes[i] } : {},
		...r.map(c => cell("td", c))));
	return el("div", { class: "scroll" }, el("table", {},
		el("thead", {}, el("tr", {}, ...head.map(h => cell("th", h)))), el("tbody", {}, ...body)));
}

function range(r, metric, most) {
	const m = r.metrics[metric];
	if (!m) return "–";
	const c = { text: format(metric, m.median) };
	if (m.max > m.min) c.small = `${format(metric, m.min)} to ${format(metric, m.max)}`;
	if (most) c.cls = m.median <= most ? "met" : "missed";
	return c;
}

function goalOf(doc, r, metric) {
	const g = DATA.goals.find(g => g.mode === doc.mode && g.metric === metric &&
		(g.case ? g.case === r.case && !r.point : g.group === r.group && g.server === r.server));
	return g ? g.most : undefined;
}

const FIGURES = { cpu_us: "CPU time, by the system", busy_us: "time it worked", live_bytes: "live bytes", idle_bytes: "live bytes",
	message_p50_us: "message, p50", message_p99_us: "message, p99" };

// What a metric is called in a heading.
function words(metric, unit) {
	const rate = /^(.*)_per_s$/.exec(metric);
	if (rate) return `${rate[1].replace(/^mb$/, "MB").replace(/_/g, " ")} a second`;
	return (FIGURES[metric] || metric.replace(/_us$/, "").replace(/_/g, " ")) + (unit ? `, per ${unit}` : "");
}

function goalTable(doc) {
	const rows = [];
	for (const g of DATA.goals.filter(g => g.mode === doc.mode)) {
		const r = doc.results.find(r => goalOf(doc, r, g.metric) !== undefined && r.metrics[g.metric] &&
			(g.case ? r.case === g.case : r.group === g.group && r.server === g.server));
		if (!r) continue;
		const v = median(r, g.metric);
		rows.push([{ text: r.title, small: `${FIGURES[g.metric] || g.metric}; ${r.case}`, cls: "text" }, format(g.metric, g.most), format(g.metric, v),
			{ text: v <= g.most ? "reached" : `${short(v / g.most)} times it`, cls: v <= g.most ? "met" : "missed" },
			r.noise && !r.noise.quiet ? "disturbed" : ""]);
	}
	return rows.length === 0 ? [] : [el("h3", {}, "Goals"),
		table([{ text: "What", cls: "text" }, "at most", "measured", "", ""], rows)];
}

/* ---- the machine ---- */

function facts(list) {
	return el("dl", { class: "facts" }, ...list.filter(([, v]) => v !== undefined && v !== null && v !== "")
		.map(([k, v]) => el("div", {}, el("dt", {}, k), el("dd", {}, v))));
}

function layout(doc) {
	if (doc.layout) return doc.layout.map(l => `core ${l.core}: ${l.who}`).join("; ");
	const l = doc.params && doc.params.lcores;
	return l ? `cores ${l} (the load, then the workers)` : undefined;
}

function machine(doc) {
	const h = doc.host || {}, p = doc.params || {};
	const rest = Object.entries(p).filter(([k, v]) => v !== null && k !== "lcores")
		.map(([k, v]) => `${k.replace(/_/g, " ")} ${typeof v === "number" ? short(v) : v}`).join(", ");
	return [facts([
		["CPU", h.cpu && `${h.cpu}, ${h.cores} core${h.cores === 1 ? "" : "s"}` +
			(h.hypervisor ? ", a virtual machine" : "") + (h.tsc_hz ? `, TSC ${short(h.tsc_hz / 1e6)} MHz` : "")],
		["Memory", h.memory_mb && bytes(h.memory_mb * (1 << 20))],
		["NIC and driver", [h.nic, h.driver].filter(Boolean).join(", ")],
		["System", [h.os, h.kernel].filter(Boolean).join(", ")],
		["Libraries", [h.dpdk, h.openssl].filter(Boolean).join(", ")],
		["Postern", doc.version],
		["Core layout", layout(doc)],
		["When", `${(doc.started || "").replace("T", " ").replace("Z", " UTC")}, ${short(doc.seconds)} s`],
		["Settings", rest],
	]), doc.command ? el("p", { class: "note command" }, "Measured by ", el("code", {},
		(doc.command[0] === doc.mode ? "postern-bench " : "") + doc.command.join(" "))) : null];
}

function noise(doc) {
	if (!doc.noise) return null;
	if (doc.noise.quiet) return el("p", { class: "note quiet" }, "The machine was quiet: no repetition that counts was disturbed.");
	return el("p", { class: "warn" }, el("strong", {}, "This machine was noisy. "),
		"Differences under 15 % on a shared machine mean nothing. " + (doc.noise.text ? doc.noise.text + "." : ""));
}

/* ---- peers ---- */

const SERVER_COLOUR = ["nginx", "haproxy", "postfix", "postfix-filter", "postern", "postern-anew"];

function serverColour(name) {
	const i = SERVER_COLOUR.indexOf(name);
	return `var(--s${i < 0 ? 0 : i})`;
}

function peers(doc) {
	const by = name => doc.servers.find(s => s.name === name) || { title: name };
	const groups = unique(doc.results.map(r => r.group));
	const of = g => doc.results.filter(r => r.group === g);
	const ours = name => name.startsWith("postern");
	const out = [];

	out.push(el("h3", {}, "Who was measured"), table(
		["Server", "version", { text: "what it does with TLS", cls: "text" }],
		doc.servers.map(s => [s.title, s.version, { text: s.shape, cls: "text" }]),
		doc.servers.map(s => ours(s.name) ? "ours" : "")));
	out.push(...goalTable(doc));

	const cpu = groups.filter(g => g !== "idle" && g !== "latency");
	if (cpu.length) {
		out.push(el("h3", {}, "CPU time of a unit"), el("p", { class: "note" },
			"Of all the server's processes, by the system's account. Bars are medians, dots are the repetitions; " +
			"a hollow dot was disturbed and does not count where a quieter one was made. The dashed mark is the goal."));
		out.push(el("div", { class: "plots" }, ...cpu.map(g => {
			const rs = of(g);
			return plot(rs[0].title, `per ${rs[0].unit}`, bars(rs.map(r => ({
				label: by(r.server).title, goal: goalOf(doc, r, "cpu_us"), dots: dots(r, "cpu_us"),
				parts: [{ value: median(r, "cpu_us"), colour: serverColour(r.server), name: by(r.server).title }],
			})), "cpu_us"));
		})));
		out.push(table(["CPU time", ...doc.servers.map(s => s.title)], cpu.map(g => [
			{ text: of(g)[0].title, small: `per ${of(g)[0].unit}` }, ...doc.servers.map(s => {
				const r = of(g).find(r => r.server === s.name);
				return r ? range(r, "cpu_us", goalOf(doc, r, "cpu_us")) : "–";
			})])));
		out.push(el("h3", {}, "At the rate of a closed loop"), el("p", { class: "note" },
			"What was carried, and how much of its core the server, and of theirs load and next hop, had. Where the " +
			"load's share is near 100 % it was the load that set the rate, not the server."));
		out.push(table(["Units a second", ...doc.servers.map(s => s.title)], cpu.map(g => [
			{ text: of(g)[0].title, small: `${of(g)[0].unit} a second` }, ...doc.servers.map(s => {
				const r = of(g).find(r => r.server === s.name);
				return r ? { text: short(median(r, "rate_per_s")),
					small: `${percent(median(r, "server_share"))} / ${percent(median(r, "load_share"))}` } : "–";
			})])));
	}
	out.push(...agreement(doc, by), ...idle(doc, by, of), ...latency(doc.results.filter(r => r.group === "latency")
		.map(r => ({ r, name: by(r.server).title, colour: serverColour(r.server), ours: ours(r.server),
			dash: r.server === "postern-anew" || r.server === "postfix-filter" ? "5 3" : "" }))));
	return out;
}

function agreement(doc, by) {
	const rs = doc.results.filter(r => r.metrics.agreement);
	if (!rs.length) return [];
	const ratio = (r, m) => ({ text: short(median(r, m)), cls: Math.abs(median(r, m) - 1) <= 0.1 ? "met" : "missed" });
	return [el("h3", {}, "Two accounts of Postern's time"), el("p", { class: "note" },
		"The system's, of the whole process, and that of its worker by the processor's counter: turns of its loop that had work, polls " +
		"that found nothing, and the CPU time of going to sleep. The accounts agree when own in all / system is within 10 % of 1; the more there " +
		"was to do, the nearer is work alone. Time in which others had the core is in the worker's own account only."),
	table(["", "by the system", "of it its worker", "work", "empty polls", "sleep", "work / system", "in all / system"], rs.map(r => [
		{ text: r.title, small: by(r.server).title }, range(r, "cpu_us"), time(median(r, "worker_us")), range(r, "busy_us"), range(r, "empty_us"), range(r, "sleep_us"),
		ratio(r, "busy_ratio"), ratio(r, "agreement")]))];
}

function idle(doc, by, of) {
	const rs = of("idle");
	if (!rs.length) return [];
	const shown = rs.filter(r => median(r, "total_bytes") < 40 * Math.min(...rs.map(r => median(r, "total_bytes"))));
	return [el("h3", {}, "Memory of an idle session"), el("p", { class: "note" },
		"The growth of the server's own memory and of what the kernel holds for it, over the number of sessions. A server with a " +
		"process for each session is only in the table."),
	el("div", { class: "plots" }, plot(rs[0].title, "per session", bars(shown.map(r => ({
		label: by(r.server).title, dots: [], parts: [
			{ value: Math.max(0, median(r, "rss_bytes") || 0), colour: serverColour(r.server), name: "its own" },
			{ value: Math.max(0, median(r, "kernel_bytes") || 0), colour: "var(--l4)", name: "the kernel's" }],
	})), "total_bytes"), [["its own", "var(--s0)"], ["the kernel's", "var(--l4)"]])),
	table(["", "sessions", "its own", "the kernel's", "together", "live, as it says"], rs.map(r => [
		by(r.server).title, short(r.units), range(r, "rss_bytes"), range(r, "kernel_bytes"), range(r, "total_bytes"),
		range(r, "live_bytes", goalOf(doc, r, "live_bytes"))]))];
}

/* ---- latency, of any mode ---- */

const PHASES = { session: "whole sessions, from when each should have begun", message: "messages: from MAIL to the reply to the dot",
	handshake: "TLS handshakes", connect: "connecting" };

function curve(l) {
	if (l.curve && l.curve.length) return l.curve;
	const rows = [[0, l.min_us], [50, l.p50_us], [90, l.p90_us], [99, l.p99_us], [99.9, l.p999_us], [99.99, l.p9999_us]];
	// A percentile beyond the number of values is the maximum once more.
	return rows.filter(([p, v]) => v > 0 && (p === 0 || l.n * (1 - p / 100) >= 0.99));
}

function latency(list) {
	const out = [];
	for (const phase of Object.keys(PHASES)) {
		const has = list.filter(s => s.r.latency && s.r.latency[phase] && s.r.latency[phase].n > 1);
		if (!has.length || (phase !== "session" && phase !== "message")) continue;
		if (!out.length) out.push(el("h3", {}, "Latency"), el("p", { class: "note" },
			has[0].r.title + (has[0].r.offered_per_s ? ". Sessions begin by a Poisson process at half of the rate that the server's own " +
				"closed loop reached, whether it keeps up or not." : ".")));
		out.push(el("div", { class: "plots wide" }, plot("Latency of " + PHASES[phase], "share of them that took no longer; both axes logarithmic",
			percentiles(has.map(s => ({ ...s, points: curve(s.r.latency[phase]) }))),
			has.map(s => [s.name, s.colour]))));
		out.push(table(["", "offered a second", "number", "p50", "p90", "p99", "p99.9", "max"], has.map(s => {
			const l = s.r.latency[phase];
			return [s.name, short(s.r.offered_per_s ?? median(s.r, "offered_per_s")), short(l.n), time(l.p50_us), time(l.p90_us),
				time(l.p99_us), time(l.p999_us), time(l.max_us)];
		}), has.map(s => s.ours ? "ours" : "")));
	}
	return out;
}

/* ---- ring ---- */

function layersOf(r) {
	const names = Object.keys(r.layers || {}).filter(n => n !== "idle");
	return names.sort((a, b) => order(a) - order(b));
}

function order(layer) {
	const i = LAYERS.indexOf(layer);
	return i < 0 ? LAYERS.length : i;
}

function layerColour(name) {
	const i = LAYER_COLOUR[name];
	return `var(--l${i === undefined ? 5 : i})`;
}

function parts(r, metric) {
	const total = median(r, metric);
	const known = layersOf(r).map(n => ({ name: n, value: r.layers[n].us, colour: layerColour(n) })).filter(p => p.value > 0);
	const sum = known.reduce((s, p) => s + p.value, 0);
	if (!known.length) return [{ value: total, colour: "var(--us)" }];
	// Medians of layers need not add up to the median of the whole: brought to its length.
	return known.map(p => ({ ...p, value: p.value * total / sum }));
}

function ring(doc) {
	const single = doc.results.filter(r => !r.point), timed = single.filter(r => r.metrics.busy_us);
	const groups = unique(timed.map(r => r.case.split("/").slice(0, r.case.startsWith("message") ? 3 : 1).join("/")));
	const layers = unique(timed.flatMap(layersOf));
	const out = [...goalTable(doc)];

	if (timed.length) {
		out.push(el("h3", {}, "Time of the gateway's worker, by layer"), el("p", { class: "note" },
			"Client, gateway and next hop share a process; counted are the turns of the gateway's worker that had work. Dots are the " +
			"repetitions, hollow ones were disturbed. The dashed mark is the goal."));
		out.push(el("div", { class: "plots wide" }, ...groups.map(g => {
			const rs = timed.filter(r => r.case === g || r.case.startsWith(g + "/"));
			return plot(g, `per ${rs[0].unit}`, bars(rs.map(r => ({
				label: r.case.slice(g.length + 1) || g, goal: goalOf(doc, r, "busy_us"), dots: dots(r, "busy_us"), parts: parts(r, "busy_us"),
			})), "busy_us"), layers.map(n => [n, layerColour(n)]));
		})));
		out.push(table([{ text: "Case", cls: "text" }, "worked", "cycles", "by the system", "own / system", "a second"], timed.map(r => [
			{ text: r.title, small: r.case, cls: "text" }, range(r, "busy_us", goalOf(doc, r, "busy_us")), short(median(r, "busy_cycles")),
			range(r, "cpu_us"), short(median(r, "agreement") ?? median(r, "busy_us") / median(r, "cpu_us")), short(median(r, "rate_per_s"))])));
		if (layers.length) out.push(table([{ text: "By layer", cls: "text" }, ...layers], timed.filter(r => r.layers).map(r => [
			{ text: r.case, cls: "text" }, ...layers.map(n => r.layers[n] ? time(r.layers[n].us) : "–")])));
	}
	const turned = timed.filter(r => r.turns);
	if (turned.length) {
		out.push(el("h3", {}, "Turns of the worker's loop"), el("p", { class: "note" },
			"The longest turn is how long everybody else on that worker waits."));
		out.push(table([{ text: "Case", cls: "text" }, "turns", "p50", "p99", "p99.9", "max"], turned.map(r => [
			{ text: r.case, cls: "text" }, short(r.turns.n), time(r.turns.p50_us), time(r.turns.p99_us), time(r.turns.p999_us), time(r.turns.max_us)])));
	}
	const rest = single.filter(r => !r.metrics.busy_us);
	if (rest.length) out.push(...plain(doc, rest, "Memory"));
	out.push(...sweeps(doc));
	return out;
}

/* ---- sweeps, and figures of any other kind ---- */

function sweeps(doc) {
	const swept = doc.results.filter(r => r.point), out = [];
	for (const name of unique(swept.map(r => r.point.name))) {
		const rs = swept.filter(r => r.point.name === name), cases = unique(rs.map(r => r.case));
		const metric = ["busy_us", "cpu_us", "idle_bytes", "messages_per_s", "sessions_per_s"].find(m => rs.some(r => r.metrics[m])) ||
			Object.keys(rs[0].metrics)[0];
		const series = cases.map((c, i) => ({ name: c, colour: `var(--l${i % 7})`, points: rs.filter(r => r.case === c && r.metrics[metric])
			.map(r => ({ x: r.point.value, y: median(r, metric), dots: dots(r, metric) })).sort((a, b) => a.x - b.x) }));
		if (!out.length) out.push(el("h3", {}, "Sweeps"));
		out.push(el("div", { class: "plots wide" }, plot(name.replace(/_/g, " "), words(metric, rs[0].unit),
			sweep(series.filter(s => s.points.length), metric, rs[0].point), series.map(s => [s.name, s.colour]))));
		out.push(table(["Case", name.replace(/_/g, " "), words(metric, rs[0].unit)], rs.map(r => [r.case,
			`${short(r.point.value)}${r.point.unit ? " " + r.point.unit : ""}`, range(r, metric)])));
	}
	return out;
}

function plain(doc, rs, title) {
	const metrics = unique(rs.flatMap(r => Object.keys(r.metrics)));
	return [el("h3", {}, title), table([{ text: "Case", cls: "text" }, ...metrics.map(m => words(m))], rs.map(r => [
		{ text: r.title || r.case, small: r.title ? r.case : null, cls: "text" }, ...metrics.map(m => range(r, m, goalOf(doc, r, m)))]))];
}

// wire and load: what was carried, and how long it took. A single value is as good as a summary.
function carried(doc) {
	for (const r of doc.results)
		for (const [k, v] of Object.entries(r.metrics))
			if (typeof v === "number") r.metrics[k] = { median: v, min: v, max: v };
	const single = doc.results.filter(r => !r.point);
	return [...goalTable(doc), ...(single.length ? plain(doc, single, "What was carried") : []),
		...latency(single.map((r, i) => ({ r, name: r.title || r.case, colour: `var(--l${i % 7})` }))), ...sweeps(doc)];
}

/* ---- the page ---- */

const TITLES = { peers: "Mail servers side by side", ring: "The gateway's worker, by layer", wire: "Over the wire", load: "Over kernel sockets" };
const DATA = JSON.parse(document.getElementById("data").textContent);

function build() {
	const main = document.getElementById("report"), docs = DATA.documents;
	const host = (docs[0] || {}).host || {};
	main.append(el("h1", {}, "Postern: measurements"), el("p", { class: "lead" },
		[host.cpu, `Postern ${docs[0].version || ""}`, (docs[0].started || "").slice(0, 10)].filter(Boolean).join(" · ")));
	for (const doc of docs) {
		for (const r of doc.results) r.runs = r.runs || [];
		main.append(el("h2", {}, TITLES[doc.mode] || doc.mode));
		const sections = [noise(doc), ...machine(doc), ...(doc.mode === "peers" ? peers(doc) : doc.mode === "ring" ? ring(doc) : carried(doc))];
		main.append(...sections.filter(Boolean));
	}
	main.append(el("footer", {}, "How this was measured, and what it cannot tell, is in docs/bench.md. Figures are medians of the repetitions " +
		"that count, with the smallest and the largest below. Compare within one run: another day's machine is another machine."));
}

build();
drawAll();
let later;
window.addEventListener("resize", () => { clearTimeout(later); later = setTimeout(() => drawAll(), 100); });
window.addEventListener("beforeprint", () => drawAll(true));
window.addEventListener("afterprint", () => drawAll());
root.dataset.plots = plots.filter(p => p.box.childElementCount > 0).length;
