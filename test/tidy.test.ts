/** The layout rules, checked: layers, sizes, names, folder READMEs, dead files, links, words that must not appear. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize, relative } from 'node:path'
import test from 'node:test'

const root = join(import.meta.dirname, '..')
const FILE_LINES_MAX = 500
const LINE_LENGTH_MAX = 110
const COMMENT_LENGTH_MAX = 125
const FUNCTION_LINES_MAX = 70
const README_LINES_MAX = 40

const read = (file: string) => readFileSync(join(root, file), 'utf8')
/** Without comments, for rules about what code does. */
const readCode = (file: string) => read(file).replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '')
const sources = globSync('src/**/*.ts', { cwd: root }).sort()
const code = [...sources, ...globSync('{test,bench,scripts,packaging}/**/*.ts', { cwd: root })].sort()

/** Number of each folder's layer; an import may only point to a lower one, or stay inside its folder. */
const layers: readonly (readonly [prefix: string, layer: number])[] = [
  ['src/base/', 0],
  ['src/kube/', 1],
  ['src/host/', 1],
  ['src/runtime/raft/', 1],
  ['src/client/', 2],
  ['src/config/', 2],
  ['src/runtime/store/', 2],
  ['src/runtime/pki/', 2],
  ['src/runtime/apiserver/', 3],
  ['src/runtime/controllers/', 3],
  ['src/runtime/scheduler/', 3],
  ['src/runtime/kubelet/', 3],
  ['src/runtime/network/', 3],
  ['src/runtime/dns/', 3],
  ['src/runtime/images/', 3],
  ['src/runtime/etcd/', 3],
  ['src/runtime/metrics/', 3],
  ['src/runtime/metrics-api/', 3],
  // Its part `registry` keeps the registry's thread.
  ['src/runtime/addons/', 3.7],
  ['src/runtime/images/', 3],
  ['src/runtime/admin/', 3],
  ['src/runtime/members/', 3],
  // Its mirror pulls as the kubelet does.
  ['src/runtime/image-registry/', 3.5],
  ['src/runtime/ingress/', 3],
  ['src/runtime/join/', 3.5],
  ['src/runtime/backup/', 3.5],
  ['src/runtime/supervisor/', 3],
  ['src/runtime/secrets-encryption/', 3],
  ['src/cli/', 3],
  ['src/runtime/', 4],
  ['src/commands/', 5],
]

/** Arrows that are allowed although they do not point down; each with its reason. */
const exceptions = new Map([
  [
    'src/commands/describe-commands.ts → src/commands/index.ts',
    'completion is a command and describes all of them',
  ],
  ['src/cli/main.ts → src/commands/index.ts', 'the command map has to be handed to oclif somewhere'],
])

/** Each npm package, and each dangerous built-in, has one home. */
const homes: readonly (readonly [specifier: RegExp, folders: readonly string[]])[] = [
  [/^@oclif\//, ['src/commands/', 'src/cli/']],
  [/^(listr2|chalk)$/, ['src/cli/']],
  [/^execa$/, ['src/host/']],
  [/^@napi-rs\/keyring$/, ['src/host/']],
  [/^@grpc\//, ['src/runtime/kubelet/runtime/cri/']],
  [/^(@peculiar\/x509|reflect-metadata)$/, ['src/runtime/pki/']],
  [/^js-yaml$/, ['src/kube/']],
  [/^dns-packet$/, ['src/runtime/dns/']],
  [/^@grpc\//, ['src/runtime/kubelet/runtime/cri/']],
  [/^ws$/, ['src/runtime/kubelet/', 'src/runtime/apiserver/streaming/']],
  [/^node:sqlite$/, ['src/runtime/store/', 'src/host/lock.ts', 'src/host/gate-lock.ts']],
  [/^node:child_process$/, ['src/host/']],
  [
    /^node:worker_threads$/,
    [
      'src/host/',
      'src/runtime/store/',
      'src/runtime/dns/',
      'src/runtime/image-registry/',
      'src/runtime/ingress/',
    ],
  ],
]

function layerOf(file: string): { folder: string; layer: number } | undefined {
  const found = layers.find(([prefix]) => file.startsWith(prefix))
  return found && { folder: found[0], layer: found[1] }
}

interface Import {
  readonly from: string
  readonly specifier: string
  /** Repository path of a relative import, else null. */
  readonly target: string | null
}

function importsOf(file: string): Import[] {
  const found = read(file).matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^'"\n]*(?:\{[^}]*\}[^'"\n]*)?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)/g,
  )
  return Array.from(found, match => {
    const specifier = match[1] ?? match[2] ?? ''
    const target = specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : null
    return { from: file, specifier, target }
  })
}

const allImports = code.flatMap(importsOf)

test('imports point to a lower layer', () => {
  const wrong = allImports.filter(({ from, target }) => {
    if (target === null || exceptions.has(`${from} → ${target}`)) return false
    const here = layerOf(from)
    const there = layerOf(target)
    if (!here || !there || here.folder === there.folder) return false
    return there.layer >= here.layer
  })
  assert.deepEqual(
    wrong.map(({ from, target }) => `${from} → ${target}`),
    [],
  )
})

test('no files import each other in a circle', () => {
  const after = new Map(sources.map(file => [file, new Set<string>()]))
  for (const { from, target } of allImports)
    if (target !== null && !exceptions.has(`${from} → ${target}`)) after.get(from)?.add(target)
  // What imports nothing that is left, or is imported by nothing that is left, is in no circle.
  for (let before = 0; before !== after.size; ) {
    before = after.size
    const imported = new Set(Array.from(after.values(), targets => [...targets]).flat())
    for (const [file, targets] of after) {
      const left = [...targets].filter(target => after.has(target))
      if (left.length === 0 || !imported.has(file)) after.delete(file)
      else after.set(file, new Set(left))
    }
  }
  assert.deepEqual([...after.keys()], [])
})

test('each package and each dangerous built-in is used in its home only', () => {
  const wrong = allImports.filter(({ from, specifier }) => {
    if (!from.startsWith('src/')) return false
    const home = homes.find(([pattern]) => pattern.test(specifier))
    return home !== undefined && !home[1].some(folder => from.startsWith(folder))
  })
  assert.deepEqual(
    wrong.map(({ from, specifier }) => `${from} imports ${specifier}`),
    [],
  )
})

test('files, lines and functions stay small', () => {
  const wrong: string[] = []
  for (const file of sources) {
    const lines = read(file).trimEnd().split('\n')
    if (lines.length > FILE_LINES_MAX) wrong.push(`${file} has ${lines.length} lines`)
    for (const [index, line] of lines.entries()) {
      const isComment = /^\s*(\/\/|\/?\*)/.test(line)
      const max = isComment ? COMMENT_LENGTH_MAX : LINE_LENGTH_MAX
      // The formatter cannot break strings and links; what is left over is code that is too wide.
      if (line.length > max && !/https?:|['`]/.test(line)) {
        wrong.push(`${file}:${index + 1} has ${line.length} characters`)
      }
    }
    wrong.push(...longFunctions(file, lines))
  }
  assert.deepEqual(wrong, [])
})

/** By indentation, which the formatter guarantees: a line that opens a function, to the line that closes it. */
function longFunctions(file: string, lines: readonly string[]): string[] {
  const opens =
    /^(\s*)(?:export )?(?:(?:async )?function\b|(?:(?:static|async|private|override|get|set) )*#?[\w]+\([^;]*\)(?:: [^=]+)? \{$|const \w+ = (?:async )?\([^;]*\)(?:: [^=]+)? => \{$)/
  const keyword = /^\s*(?:if|for|while|switch|catch|return|else)\b/
  const wrong: string[] = []
  for (const [index, line] of lines.entries()) {
    const match = opens.exec(line)
    if (!match || keyword.test(line)) continue
    const close = lines.findIndex((later, at) => at > index && later.startsWith(`${match[1]}}`))
    const length = close - index + 1
    if (close > 0 && length > FUNCTION_LINES_MAX)
      wrong.push(`${file}:${index + 1} is a function of ${length} lines`)
  }
  return wrong
}

test('names are kebab-case and say something', () => {
  const vague = /^(utils?|common|misc|helpers?|manager|stuff|index)\.ts$/
  const wrong = sources.filter(file => {
    const name = basename(file)
    return (
      !/^[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.ts$/.test(name) ||
      (vague.test(name) && file !== 'src/commands/index.ts')
    )
  })
  assert.deepEqual(wrong, [])
})

test('every file opens by saying what it is, and exports by name', () => {
  const wrong = sources.filter(file => {
    const text = read(file)
    return (
      !/^(#!.*\n)?\/\*\*/.test(text) || (/^export default/m.test(text) && !file.startsWith('src/commands/'))
    )
  })
  assert.deepEqual(wrong, [])
})

test('every folder has a README with the five headings', () => {
  const folders = new Set(sources.map(file => dirname(file)).filter(isPart))
  const headings = ['What this is', 'Start reading at', 'May import', 'Always true', 'How it is tested']
  const wrong: string[] = []
  for (const folder of folders) {
    const file = join(folder, 'README.md')
    if (!existsSync(join(root, file))) {
      wrong.push(`${file} is missing`)
      continue
    }
    const text = read(file)
    for (const heading of headings) {
      if (!new RegExp(`^#+ ${heading}`, 'm').test(text)) wrong.push(`${file} lacks "${heading}"`)
    }
    if (text.trimEnd().split('\n').length > README_LINES_MAX)
      wrong.push(`${file} is longer than ${README_LINES_MAX} lines`)
  }
  assert.deepEqual(wrong, [])
})

/** `src/x` and `src/runtime/x`; deeper folders are described by their part's README. */
function isPart(folder: string): boolean {
  const depth = folder.split('/').length
  return folder.startsWith('src/runtime') ? depth === 3 : depth === 2
}

test('every file is used by another', () => {
  const used = new Set(allImports.map(({ target }) => target))
  const entries =
    /^src\/(commands\/|cli\/main\.ts|runtime\/(daemon|store\/(raft|store)-worker|dns\/dns-worker|image-registry\/(registry|hash)-worker|ingress\/ingress-worker)\.ts)/
  const wrong = sources.filter(file => !used.has(file) && !entries.test(file))
  assert.deepEqual(wrong, [])
})

test('pure folders take time, randomness and the world as arguments', () => {
  const pure =
    /^src\/(kube\/|runtime\/(raft|store\/mvcc|apiserver\/registry)\/)|\/(plan(-[a-z-]+)?|schedule|proxy-rules)\.ts$/
  const banned =
    /\bDate\.now\(|new Date\(\)|Math\.random\(|\bsetTimeout\(|\bsetInterval\(|\bprocess\.|from 'node:(fs|net|http|https|child_process|timers)/
  const wrong = sources.filter(
    file => pure.test(file) && banned.test(readCode(file).replace("import { isIP } from 'node:net'", '')),
  )
  assert.deepEqual(wrong, [])
})

test('the outside world is reached through arguments or named homes', () => {
  const wrong: string[] = []
  for (const file of sources) {
    const text = readCode(file)
    if (/\bconsole\./.test(text)) wrong.push(`${file} uses console`)
    if (/Math\.random\(/.test(text) && file !== 'src/base/random.ts') wrong.push(`${file} uses Math.random`)
    if (/Date\.now\(/.test(text) && file !== 'src/base/clock.ts') wrong.push(`${file} uses Date.now`)
    if (/\b(FIX|TO)(ME|DO)\b/.test(read(file))) wrong.push(`${file} has a leftover note`)
  }
  assert.deepEqual(wrong, [])
})

test('links in markdown lead somewhere', () => {
  const wrong: string[] = []
  for (const file of globSync('{*.md,docs/**/*.md,src/**/*.md,bench/*.md,packaging/*.md,test/**/*.md}', {
    cwd: root,
  })) {
    for (const [, link] of read(file).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (link === undefined || /^[a-z]+:/.test(link)) continue
      if (!existsSync(join(root, dirname(file), link))) wrong.push(`${file} → ${link}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('tests wait for conditions and never sleep', () => {
  const wrong = code
    .filter(file => file.startsWith('test/') && !/^test\/(support\/until|tidy\.test)\.ts$/.test(file))
    .filter(file => /setTimeout\(\s*resolve|timers\/promises|sleep\(\d/.test(read(file)))
  assert.deepEqual(
    wrong.map(file => relative('.', file)),
    [],
  )
})
