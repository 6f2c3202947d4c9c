/** exec and attach of the simulated runtime: the command line, then the input again; nothing to attach to but silence. */
import { PassThrough } from 'node:stream'
import type { ContainerStreams, StreamOptions } from '../streams.ts'

export function simulateExec(
  command: readonly string[],
  options: StreamOptions,
  exitCode: number,
): ContainerStreams {
  const stdin = options.stdin ? new PassThrough() : null
  const stdout = new PassThrough()
  const exited = Promise.withResolvers<number>()
  stdout.once('end', () => exited.resolve(exitCode))
  stdout.once('close', () => exited.resolve(exitCode))
  stdout.write(`simulated: ${command.join(' ')}\n`)
  if (stdin === null) stdout.end()
  else stdin.pipe(stdout)
  if (!options.stdout) stdout.resume()
  return {
    stdin,
    stdout: options.stdout ? stdout : null,
    stderr: null,
    resize: () => {},
    exited: exited.promise,
    close: () => {
      stdin?.destroy()
      stdout.destroy()
    },
  }
}

/** Silent until the container ends; its input is taken and goes nowhere. */
export function simulateAttach(options: StreamOptions, ended: Promise<number>): ContainerStreams {
  const stdin = options.stdin ? new PassThrough() : null
  const stdout = options.stdout ? new PassThrough() : null
  stdin?.resume()
  void ended.then(() => stdout?.end())
  return {
    stdin,
    stdout,
    stderr: null,
    resize: () => {},
    exited: ended,
    close: () => {
      stdin?.destroy()
      stdout?.destroy()
    },
  }
}
