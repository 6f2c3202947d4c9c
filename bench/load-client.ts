/** The load client in a process of its own, the same one for every server that is measured: runs what it is sent. */
import { type Load, loadEndpoint } from './put-load.ts'

process.on('message', ({ path, load }: { readonly path: string; readonly load: Load }) => {
  loadEndpoint(path, load).then(
    outcome => process.send?.({ outcome }),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
