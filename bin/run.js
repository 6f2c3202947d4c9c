/** The entry from a checkout. The version and the daemon need none of the command line's libraries. */

const [command, ...rest] = process.argv.slice(2)

async function start() {
  if ((command === '--version' || command === '-v') && rest.length === 0) {
    const { versionLine } = await import('../src/config/version.ts')
    process.stdout.write(`${versionLine}\n`)
    return 0
  }
  if (command === 'daemon' && rest[0] === '--supervise') {
    const { runSupervisor } = await import('../src/host/supervise.ts')
    return runSupervisor(rest.slice(1))
  }
  if (command === 'daemon' && rest[0] === '--data-dir' && rest.length === 2) {
    const { parseDaemonArguments, runDaemon } = await import('../src/runtime/daemon.ts')
    return runDaemon(parseDaemonArguments(rest))
  }
  const { main } = await import('../src/cli/main.ts')
  return main(process.argv.slice(2))
}

process.exitCode = await start()
