// The executable's main. It starts the bundle, which is an asset, with a V8 code cache that it keeps for the user.
// The cache is code, so it is only believed when it lies in a directory and file of this user alone.
'use strict'
const { writeSync, readFileSync, writeFileSync, renameSync, mkdirSync, lstatSync } = require('node:fs')
const argument = process.argv.length === 3 ? process.argv[2] : ''

if (argument === '--version' || argument === '-v') {
  writeSync(1, `${VERSION_LINE}\n`)
} else {
  const vm = require('node:vm')
  const path = require('node:path')
  const sea = require('node:sea')
  const source = Buffer.from(sea.getRawAsset('app.cjs')).latin1Slice()
  const user = process.geteuid?.() ?? -1

  const isOurs = file => {
    const { uid, mode } = lstatSync(file)
    return (user === -1 || uid === user) && (process.platform === 'win32' || (mode & 0o022) === 0)
  }
  const base =
    process.env.XDG_CACHE_HOME ||
    process.env.LOCALAPPDATA ||
    (process.env.HOME ? path.join(process.env.HOME, '.cache') : '')
  const directory = path.isAbsolute(base) ? path.join(base, 'mk8s') : ''
  const cacheFile = path.join(directory, `app-${BUILD}-${process.arch}.cache`)
  const readCache = () => {
    if (directory === '') return undefined
    try {
      return isOurs(directory) && isOurs(cacheFile) ? readFileSync(cacheFile) : undefined
    } catch {
      return undefined
    }
  }

  const cachedData = readCache()
  const script = new vm.Script(`(function(exports,require,module,__filename,__dirname){${source}\n})`, {
    filename: 'mk8s:app.cjs',
    cachedData,
  })
  if (directory !== '' && (cachedData === undefined || script.cachedDataRejected)) {
    process.on('exit', () => {
      try {
        mkdirSync(directory, { recursive: true, mode: 0o700 })
        if (!isOurs(directory)) return
        const partial = `${cacheFile}.${process.pid}`
        writeFileSync(partial, script.createCachedData(), { mode: 0o600, flag: 'wx' })
        renameSync(partial, cacheFile)
      } catch {
        // Without a cache the next start is slower, nothing else.
      }
    })
  }
  const module = { exports: {} }
  script.runInThisContext()(module.exports, require, module, process.execPath, path.dirname(process.execPath))
}
