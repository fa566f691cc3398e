// Are the dashboards what Grafana's own types say? Writes each as a TypeScript literal, where an unknown field or a wrong value is an
// error, also in what belongs to a panel's plugin: its options and its custom field settings. Then the compiler checks them.
//
// node check.mjs <node_modules> <dashboards>
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [modules, dashboards] = process.argv.slice(2).map((path) => resolve(path));

// By the panel's type: the file of its types, and whether it has field settings of its own.
const PLUGINS = {
  heatmap: ['heatmap/panelcfg/x/HeatmapPanelCfg_types.gen', true],
  stat: ['stat/panelcfg/x/StatPanelCfg_types.gen', false],
  'state-timeline': ['statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen', true],
  table: ['table/panelcfg/x/TablePanelCfg_types.gen', true],
  timeseries: ['timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen', true],
};

const panels = (parent) => (parent.panels ?? []).flatMap((panel) => [panel, ...panels(panel)]);
const name = (type) => type.replace('-', '');

function source(dashboard) {
  // What is in a query is its datasource's: that they are right is shown by asking them.
  for (const annotation of dashboard.annotations.list) {
    for (const field of ['expr', 'step', 'titleFormat', 'textFormat', 'tagKeys', 'useValueForTime']) delete annotation[field];
    for (const field of ['expr', 'interval']) delete annotation.target?.[field];
  }
  const lines = ["import type { Dashboard } from '@grafana/schema';"];
  for (const type of Object.keys(PLUGINS)) {
    lines.push(`import type * as ${name(type)} from './plugin-${name(type)}';`);
  }
  lines.push(`export const dashboard: Dashboard = ${JSON.stringify(dashboard, null, 1)};`);
  panels(dashboard).forEach((panel, at) => {
    if (panel.type === 'row') return;
    if (!(panel.type in PLUGINS)) throw new Error(`${panel.title}: no types for a panel ${panel.type}`);
    const [, hasFields] = PLUGINS[panel.type];
    lines.push(`// ${dashboard.uid}: ${panel.title}`);
    lines.push(`export const options${at}: ${name(panel.type)}.Options = ${JSON.stringify(panel.options, null, 1)};`);
    const custom = panel.fieldConfig.defaults.custom;
    if (hasFields && custom) {
      lines.push(`export const custom${at}: ${name(panel.type)}.FieldConfig = ${JSON.stringify(custom, null, 1)};`);
    }
  });
  return lines.join('\n') + '\n';
}

// The types' enumerations are nominal, and JSON has texts and numbers: each becomes the union of its values.
const ofValues = (types) =>
  types.replaceAll(/\benum (\w+) \{([^}]*)\}/g, (_, enumeration, members) => {
    const values = [...members.matchAll(/= ("[^"]*"|-?\d+)/g)].map(([, value]) => value);
    return `type ${enumeration} = ${values.join(' | ')};`;
  });

const folder = mkdtempSync(join(tmpdir(), 'dashboards-'));
try {
  const types = join(modules, '@grafana/schema/dist/esm');
  const copy = join(folder, 'node_modules/@grafana/schema');
  mkdirSync(copy, { recursive: true });
  writeFileSync(join(copy, 'index.d.ts'), ofValues(readFileSync(join(types, 'index.d.mts'), 'utf8')));
  for (const [type, [file]] of Object.entries(PLUGINS)) {
    const plugin = readFileSync(join(types, 'raw/composable', `${file}.d.ts`), 'utf8');
    writeFileSync(join(folder, `plugin-${name(type)}.d.ts`), ofValues(plugin));
  }
  const files = readdirSync(dashboards).filter((file) => file.endsWith('.json'));
  for (const file of files) {
    const dashboard = JSON.parse(readFileSync(join(dashboards, file), 'utf8'));
    writeFileSync(join(folder, file.replace('.json', '.ts')), source(dashboard));
  }
  const compiler = join(modules, 'typescript/bin/tsc');
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--moduleResolution', 'bundler', '--module', 'esnext'];
  execFileSync('node', [compiler, ...flags, ...files.map((file) => join(folder, file.replace('.json', '.ts')))], { stdio: 'inherit' });
  console.log(`${files.length} dashboards are what Grafana's types say`);
} catch (error) {
  if (error.status === undefined) throw error;
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
