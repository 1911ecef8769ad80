"""What stands in the batches of all processes that train together, each with as many rows as any other."""

import torch
import torch.distributed as processes


def process_count() -> int:
    """How many processes train together."""
    return processes.get_world_size() if processes.is_initialized() else 1


def of_all(rows: torch.Tensor) -> torch.Tensor:
    """The rows of all processes, `[P B, …]` of `[B, …]`, in the order of processes. This one's keep their gradient:
    where each process minds its own rows alone, gradients of all add up to that of the whole."""
    if process_count() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(process_count())]
    processes.all_gather(parts, rows.detach().contiguous())
    parts[processes.get_rank()] = rows
    return torch.cat(parts)


def of_all_padded(rows: torch.Tensor, fill: int) -> torch.Tensor:
    """`of_all` of whole numbers `[B, C]` of which C may be another in each process, filled up."""
    if process_count() == 1:
        return rows
    widest = torch.tensor(rows.shape[1], device=rows.device)
    processes.all_reduce(widest, processes.ReduceOp.MAX)
    return of_all(torch.nn.functional.pad(rows, (0, int(widest) - rows.shape[1]), value=fill))


def of_this(rows: torch.Tensor, count: int) -> torch.Tensor:
    """Of the rows of all processes this one's, so many."""
    first = count * (processes.get_rank() if process_count() > 1 else 0)
    return rows[first : first + count]
