// Builds, tests and checks the Move package `walrusfs` with no network: the compiler is a pinned npm package, the Sui
// framework's Move sources lie in a crate that framework/Cargo.lock pins. `test.sh` installs both, then calls this.
//
//   node walrusfs.mjs check      fails unless sources, scenarios, generated files and committed bytecode agree
//   node walrusfs.mjs update     rewrites the generated files and the committed bytecode
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as compiler from '@zktx.io/sui-move-builder/full';
import { generateTests } from './scenarios.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const packageDir = path.join(here, 'walrusfs');
const source = path.join(packageDir, 'sources/drive.move');

function frameworkDir() {
  const args = ['metadata', '--manifest-path', path.join(here, 'framework/Cargo.toml'), '--format-version', '1', '--locked', '--offline'];
  const { packages } = JSON.parse(execFileSync('cargo', args, { maxBuffer: 1 << 28 }));
  return path.join(path.dirname(packages.find((p) => p.name === 'moverox-sui').manifest_path), 'move');
}

function readPackage(dir, into = {}, prefix = '') {
  for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
    if (entry.name === 'build' || entry.name.startsWith('.')) continue;
    const name = prefix + entry.name;
    if (entry.isDirectory()) readPackage(path.join(dir, entry.name), into, `${name}/`);
    else if (/\.move$|^Move\.toml$/.test(entry.name)) into[name] = fs.readFileSync(path.join(dir, entry.name), 'utf8');
  }
  return into;
}

// The compiler asks for the framework by its repository; it is answered from the crate, and for nothing else.
class Framework extends compiler.MovePackageFetcher {
  constructor() {
    super();
    this.dir = frameworkDir();
  }
  async fetch(repository, revision, subdirectory) {
    const asked = /packages\/(move-stdlib|sui-framework)$/.exec(subdirectory ?? '');
    if (!asked) throw new Error(`the package must not depend on ${repository} ${subdirectory}`);
    return readPackage(path.join(this.dir, asked[1]));
  }
  async fetchFile() {
    return null;
  }
}

const framework = new Framework();
const input = (files) => ({ files, fetcher: framework, network: 'testnet', ansiColor: false });

function fail(message) {
  console.error(`contracts: ${message}`);
  process.exit(1);
}

async function build(files) {
  const built = await compiler.dumpMovePackage(input(files));
  if (built.error) fail(`does not compile (${built.category})\n${built.error}`);
  if (built.warnings) fail(`compiles with warnings\n${built.warnings}`);
  const digest = Buffer.from(built.digest).toString('hex');
  return { digest, modules: built.modules, dependencies: built.dependencies };
}

// Abort codes and limits as the Move source has them, and the signatures of its public functions: the table of scenarios
// and the Rust twin are compared with these.
function facts() {
  const text = fs.readFileSync(source, 'utf8').split('// === Views for tests ===')[0];
  const aborts = {}, limits = {}, functions = {};
  for (const [, name, value] of text.matchAll(/^const (\w+): u64 = (\d+);$/gm)) (name.startsWith('E') ? aborts : limits)[name] = Number(value);
  for (const [, name, types, params, returns] of text.matchAll(/^public fun (\w+)(<[^>]*>)?\(([^)]*)\)(?:: ([^{]+))? \{$/gm)) {
    const typeNames = [...(types ?? '').matchAll(/(\w+): key \+ store/g)].map((m) => m[1]);
    const plain = (type) => (typeNames.includes(type) ? `T${typeNames.indexOf(type)}` : type);
    const list = (params) => params.split(/,(?![^<]*>)/).map((p) => p.trim()).filter(Boolean);
    functions[name] = {
      type_params: typeNames.length,
      params: list(params).map((p) => plain(p.slice(p.indexOf(':') + 1).trim())),
      returns: list((returns ?? '').trim().replace(/^\((.*)\)$/, '$1')).map(plain),
    };
  }
  return { aborts, limits, functions };
}

function same(what, ours, theirs) {
  if (JSON.stringify(ours) !== JSON.stringify(theirs)) fail(`${what} of scenarios.json are not those of drive.move:\n${JSON.stringify(theirs)}`);
}

// Every file of `rejected/` breaks a rule that the type system enforces; its first line says with which error.
async function rejected() {
  const names = fs.readdirSync(path.join(here, 'rejected')).filter((name) => name.endsWith('.move'));
  for (const name of names) {
    const text = fs.readFileSync(path.join(here, 'rejected', name), 'utf8');
    const wanted = /^\/\/ error: (.*)$/m.exec(text)[1];
    const files = { ...readPackage(packageDir), [`sources/${name}`]: text };
    const built = await compiler.dumpMovePackage(input(files));
    if (!built.error) fail(`rejected/${name} compiles, but must not: ${wanted}`);
    if (!built.error.includes(wanted)) fail(`rejected/${name} fails with another error than "${wanted}":\n${built.error}`);
  }
  return names.length;
}

const mode = process.argv[2];
if (mode !== 'check' && mode !== 'update') fail('usage: node walrusfs.mjs check|update');
await compiler.initMovePackageBuilder();

const table = JSON.parse(fs.readFileSync(path.join(here, 'scenarios.json'), 'utf8'));
const found = facts();
same('the aborts', table.aborts, found.aborts);
same('the limits', table.limits, found.limits);

const generated = { 'walrusfs/tests/scenarios.move': generateTests(table), 'functions.json': `${JSON.stringify(found.functions, null, 1)}\n` };
const built = await build(readPackage(path.join(here, 'walrusfs')));
generated['bytecode.json'] = `${JSON.stringify(built, null, 1)}\n`;
for (const [name, text] of Object.entries(generated)) {
  const file = path.join(here, name);
  if (mode === 'update') fs.writeFileSync(file, text);
  else if (!fs.existsSync(file) || fs.readFileSync(file, 'utf8') !== text) fail(`${name} is not what the sources give; run contracts/test.sh update and commit it`);
}

const tested = await compiler.testMovePackage(input(readPackage(packageDir)));
if (tested.error || !tested.passed) fail(`tests\n${tested.error ?? tested.output}`);
const refused = await rejected();
const count = /Total tests: (\d+)/.exec(tested.output)?.[1];
if (!count || Number(count) < table.scenarios.length) fail(`fewer tests ran than there are scenarios\n${tested.output}`);
console.log(`contracts: ${count} Move tests passed, ${refused} sources refused, bytecode digest ${built.digest}`);
