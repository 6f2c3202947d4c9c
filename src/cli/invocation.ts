/** Reads the shape of a command line before oclif does: which command, which global flags. Pure. */

export interface Invocation {
  /** Key of the command map, `options:show`; what was typed when there is no such command; empty for none. */
  readonly id: string
  readonly known: boolean
  /** The command's words as typed. */
  readonly typed: string
  /** What follows the command, with global flags that stood before it put in front (not for kubectl and helm). */
  readonly args: readonly string[]
  readonly dataDir: string | undefined
  /** `--cluster NAME`, wherever it stands. */
  readonly cluster: string | undefined
  readonly wantsHelp: boolean
  readonly wantsVersion: boolean
  readonly json: boolean
  readonly debug: boolean
}

const DATA_DIR = '--data-dir'
const CLUSTER = '--cluster'
const GLOBALS_WITH_VALUE = [DATA_DIR, CLUSTER]
const GLOBAL_SWITCHES = ['--json', '--debug']
const HELP = ['--help', '-h']
const VERSION = ['--version', '-v']

/** Of a command's name. */
const WORDS_MAX = 3

/** Commands that get everything behind their name untouched. */
const UNTOUCHED = ['kubectl', 'helm']

export function readInvocation(argv: readonly string[], ids: readonly string[]): Invocation {
  const { global, rest } = takeGlobals(argv)
  const asksHelp = rest[0] === 'help' || HELP.includes(rest[0] ?? '')
  const words = asksHelp ? rest.slice(1) : rest
  const [first = ''] = words
  const taken = wordsOfCommand(words, ids)
  const id = words.slice(0, taken).join(':')
  const isTopic = !ids.includes(id) && ids.some(each => each.startsWith(`${id}:`))
  const behind = words.slice(taken)
  const untouched = UNTOUCHED.includes(id)
  const own = untouched ? [] : beforeDashes(behind)
  return {
    id,
    known: ids.includes(id) || isTopic,
    typed: words.slice(0, taken).join(' '),
    args: untouched ? behind : [...global, ...behind],
    dataDir: valueBehind(DATA_DIR, global),
    cluster: valueBehind(CLUSTER, [...global, ...own]),
    wantsHelp: asksHelp || isTopic || own.some(word => HELP.includes(word)),
    wantsVersion: VERSION.includes(first) && !asksHelp,
    json: [...global, ...own].includes('--json') || isJsonFormat(own),
    debug: [...global, ...own].includes('--debug'),
  }
}

/** How many words name a command, or else a topic: as many as can be; the first one in any case. */
function wordsOfCommand(words: readonly string[], ids: readonly string[]): number {
  const counts = [WORDS_MAX, 2, 1].filter(count => count <= words.length)
  const named = (count: number) => words.slice(0, count).join(':')
  const command = counts.find(count => ids.includes(named(count)))
  const topic = counts.find(count => ids.some(id => id.startsWith(`${named(count)}:`)))
  return command ?? topic ?? Math.min(1, words.length)
}

function takeGlobals(argv: readonly string[]): { global: string[]; rest: string[] } {
  const global: string[] = []
  let index = 0
  for (; index < argv.length; index++) {
    const word = argv[index] ?? ''
    if (GLOBALS_WITH_VALUE.includes(word)) {
      const value = argv[index + 1]
      index++
      if (value !== undefined) global.push(word, value)
    } else if (GLOBALS_WITH_VALUE.some(flag => word.startsWith(`${flag}=`))) global.push(word)
    else if (GLOBAL_SWITCHES.includes(word)) global.push(word)
    else break
  }
  return { global, rest: argv.slice(index) }
}

/** The last one counts. */
function valueBehind(flag: string, words: readonly string[]): string | undefined {
  const at = words.findLastIndex(word => word === flag || word.startsWith(`${flag}=`))
  const word = words[at]
  return word === flag ? words[at + 1] : word?.slice(flag.length + 1)
}

function beforeDashes(words: readonly string[]): readonly string[] {
  const dashes = words.indexOf('--')
  return dashes === -1 ? words : words.slice(0, dashes)
}

const isJsonFormat = (words: readonly string[]): boolean =>
  words.some(
    (word, index) => word === '--format=json' || (word === 'json' && words[index - 1] === '--format'),
  )
