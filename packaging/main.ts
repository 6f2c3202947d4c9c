/** The packaged program's entry: the daemon starts without the command line's libraries, all else through them. */

async function start(): Promise<number> {
  const [, , command, flag, ...rest] = process.argv
  if (command === 'daemon' && flag === '--supervise') {
    const { runSupervisor } = await import('../src/host/supervise.ts')
    return runSupervisor(rest)
  }
  if (command === 'daemon') {
    const { runDaemon, parseDaemonArguments } = await import('../src/runtime/daemon.ts')
    return runDaemon(parseDaemonArguments(process.argv.slice(3)))
  }
  if (command === 'keeper') {
    const { runKeeper } = await import('../src/runtime/kubelet/runtime/kept/keeper.ts')
    return runKeeper(flag ?? '')
  }
  const { main } = await import('../src/cli/main.ts')
  return main(process.argv.slice(2))
}

start().then(
  code => {
    process.exitCode = code
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    process.exitCode = 70
  },
)
