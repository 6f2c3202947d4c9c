/** Which layers of images the containers of a node stand on, by their records, for whoever takes images away. */
import { RecordStore } from '../process/records.ts'
import { ociPaths } from './oci-paths.ts'
import type { ContainerRecord } from './oci-records.ts'

/** All that have to stay while the container is there. */
export const layersOf = ({ layers, volumeLayers = [] }: ContainerRecord): readonly string[] => [
  ...layers,
  ...volumeLayers,
]

export async function usedLayers(dataDir: string): Promise<string[]> {
  const records = await new RecordStore<ContainerRecord>(ociPaths(dataDir).containers).load()
  return records.flatMap(layersOf)
}
